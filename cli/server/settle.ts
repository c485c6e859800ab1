import { parseOwnCgroups, surveyCgroups } from "../host/cgroup-delegation.ts";
import type { Config } from "../host/config.ts";
import { folderUid } from "../host/facts.ts";
import { hostFiles } from "../host/host-files.ts";
import { parseMountInfo, pathThroughMount } from "../host/mountinfo.ts";
import { startTimeOf } from "../host/process-info.ts";
import { enterScope } from "../host/systemd-scope.ts";

/** The directory of this process's own cgroup, v2. */
function ownDirectory(): string | null {
  const files = hostFiles();
  const mount = parseMountInfo(files.text("/proc/self/mountinfo") ?? "").findLast((one) => one.fsType === "cgroup2");
  const own = parseOwnCgroups(files.text("/proc/self/cgroup") ?? "").get("");
  return mount === undefined || own === undefined ? null : pathThroughMount(mount, own);
}

/**
 * Where the cgroups of all runs of a server are made, as the configuration to go on with. A service that was given its own cgroup to divide (Delegate=yes)
 * does that, so that its limits and its end are theirs too; a single run would sooner stay where it is. Where a run from here would need a scope of its
 * own, made by the user's manager of systemd, this process gets one for all. It is gone when no process is left in it. Throws BelljarError `limit-unenforceable`.
 */
export async function settle(config: Config): Promise<Config> {
  const files = hostFiles();
  const uid = folderUid(files, process.getuid?.() ?? 0);
  const survey = (cgroup: Config["cgroup"]) => surveyCgroups({ files, uid, pid: process.pid, config: cgroup }).facts;
  const within = (parent: string): Config => ({ ...config, cgroup: { ...config.cgroup, parent } });
  const own = config.cgroup?.parent === undefined ? ownDirectory() : null;
  const found = own === null ? null : survey(within(own).cgroup);
  if (own !== null && found?.kind === "cgroup2" && found.controllers.includes("memory")) return within(own);
  const facts = survey(config.cgroup);
  if (facts.kind !== "cgroup2" || facts.scope !== true) return config;
  const unit = `belljar-serve-${process.pid}-${startTimeOf(process.pid) ?? 0}.scope`;
  const path = `${facts.parent}/${unit}`;
  await enterScope({ unit, path }, process.pid);
  return within(path);
}
