import { surveyCgroups } from "../host/cgroup-delegation.ts";
import type { Config } from "../host/config.ts";
import { folderUid } from "../host/facts.ts";
import { hostFiles } from "../host/host-files.ts";
import { startTimeOf } from "../host/process-info.ts";
import { enterScope } from "../host/systemd-scope.ts";

/**
 * Where a run from here would need a scope of its own, made by the user's manager of systemd, this process gets one, in which the cgroups of all
 * its runs can be made. It is gone when no process is left in it. Throws BelljarError `limit-unenforceable`.
 */
export async function holdScope(config: Config): Promise<void> {
  const files = hostFiles();
  const uid = folderUid(files, process.getuid?.() ?? 0);
  const { facts } = surveyCgroups({ files, uid, pid: process.pid, config: config.cgroup });
  if (facts.kind !== "cgroup2" || facts.scope !== true) return;
  const unit = `belljar-serve-${process.pid}-${startTimeOf(process.pid) ?? 0}.scope`;
  await enterScope({ unit, path: `${facts.parent}/${unit}` }, process.pid);
}
