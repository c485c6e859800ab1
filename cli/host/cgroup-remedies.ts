import { dirname } from "node:path";
import { type CauseContext, type CheckedCause, memoryControllerOff } from "./causes.ts";
import type { CgroupRefusal } from "./cgroup-v2.ts";
import { parseMountInfo } from "./mountinfo.ts";

/** What starts a command in a scope of its own that it may divide. */
export const scopeCommand = "systemd-run --user --scope -p Delegate=yes";
const delegateAll =
  "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | " +
  "sudo tee /etc/systemd/system/user@.service.d/belljar.conf && sudo systemctl daemon-reload, then log in again";

const unifiedMount = ({ files }: CauseContext): string =>
  parseMountInfo(files.text("/proc/self/mountinfo") ?? "").findLast((mount) => mount.fsType === "cgroup2")?.path ?? "/sys/fs/cgroup";
const plus = (controllers: readonly string[]): string => controllers.map((name) => `+${name}`).join(" ");

/** A subtree of the user's, with the caller in a leaf of it; where systemd is, it is the one to give it. */
function delegation({ path, controllers }: CgroupRefusal, context: CauseContext): string {
  const { uid, userName } = context;
  const service = /\/(?!user@)([^/]+\.service)(?:\/|$)/.exec(path ?? "")?.[1];
  if (service !== undefined) return `Delegate=yes in the [Service] section of ${service}`;
  if (context.files.stat("/run/systemd/system") !== null)
    return `sudo loginctl enable-linger ${userName} (starts a manager of systemd for this user, which then makes a scope for each run)`;
  const root = unifiedMount(context);
  const folder = `${root}/belljar-${uid}`;
  return (
    `as root: echo "${plus(controllers)}" > ${root}/cgroup.subtree_control; mkdir -p ${folder}/session; chown -R ${userName} ${folder}; ` +
    `echo PID > ${folder}/session/cgroup.procs for the shell (or service) that starts belljar`
  );
}

/** Controllers come down one level at a time. */
function controllersFromAbove({ path, controllers }: CgroupRefusal, context: CauseContext): string {
  const root = unifiedMount(context);
  const given = (context.files.text(`${root}/cgroup.controllers`) ?? "").split(/\s+/);
  const unknown = controllers.filter((name) => !given.includes(name));
  if (unknown.length > 0) return `none within this ${root === path ? "cgroup namespace" : "system"}: its root has no ${unknown.join(", ")}`;
  if (path?.includes(`/user@${context.uid}.service`)) return delegateAll;
  const levels: string[] = [];
  for (let dir = dirname(path ?? root); dir.startsWith(root); dir = dirname(dir)) levels.unshift(dir);
  return `as root: for d in ${levels.join(" ")}; do echo "${plus(controllers)}" > $d/cgroup.subtree_control; done`;
}

/** Every missing v1 folder in one command. */
function folders(refusals: readonly CgroupRefusal[], { userName }: CauseContext): string {
  const paths = refusals.filter((one) => one.remedy === "cgroup1-folder" && one.path !== null).map((one) => one.path);
  return `for d in ${paths.join(" ")}; do sudo mkdir -p $d; sudo chown -R ${userName} $d; done`;
}

/** Cause and remedy of a place that no run can use. `all` are the refusals found together, since one command can lift several. */
export function cgroupRemedy(refusal: CgroupRefusal, all: readonly CgroupRefusal[], context: CauseContext): CheckedCause {
  const cause = `${refusal.path === null ? "" : `'${refusal.path}' `}${refusal.reason}`;
  const off = refusal.controllers.includes("memory") ? memoryControllerOff(context) : null;
  if (off !== null) return off;
  switch (refusal.remedy) {
    case "cgroup-absent":
      return { cause, remedy: "mount it (in a container: start it with --cgroupns=private and a writable /sys/fs/cgroup)" };
    case "cgroup-read-only":
      return {
        cause,
        remedy:
          "start the container with a writable /sys/fs/cgroup (Podman: --security-opt unmask=ALL; Docker 28 and later: --security-opt writable-cgroups=true)",
      };
    case "cgroup1-folder":
      return { cause, remedy: folders(all, context) };
    case "cgroup1-cpuset":
      return {
        cause,
        remedy: `as root: for f in cpus mems; do cat ${parent(refusal.path)}/cpuset.$f > ${refusal.path}/cpuset.$f; done; echo 1 > ${refusal.path}/cgroup.clone_children`,
      };
    case "cgroup2-delegation":
      return { cause, remedy: delegation(refusal, context) };
    case "cgroup2-controllers":
      return { cause, remedy: controllersFromAbove(refusal, context) };
    case "cgroup2-processes":
      return {
        cause,
        remedy: `start belljar in a cgroup of its own beneath '${refusal.path}', so that this one holds no processes`,
      };
    case "cgroup-config":
      return { cause, remedy: "correct or remove the cgroup settings in the configuration of belljar" };
  }
}

const parent = (path: string | null): string => path?.replace(/\/[^/]*$/, "") ?? "";
