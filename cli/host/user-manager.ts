import type { HostFiles } from "./host-files.ts";
import { type Mount, pathThroughMount } from "./mountinfo.ts";

/** The user's own manager of systemd (`user@UID.service`), which makes scopes for this user's processes wherever these are. */
export interface UserManager {
  /** It speaks D-Bus there with its user alone; `systemctl --user` and `systemd-run --user` use the same socket. */
  readonly socket: string;
  /** Directory of its cgroup (v2). */
  readonly dir: string;
  /** What it can give to units of its own. */
  readonly controllers: readonly string[];
}

const words = (text: string | null): readonly string[] => (text ?? "").split(/\s+/).filter((word) => word !== "");

/**
 * Reads only, and speaks to nobody. A manager whose processes this pid namespace does not show (a container that was given the
 * runtime folder of its host) is none: our process ids would name other processes there.
 */
export function findUserManager(
  files: HostFiles,
  { mounts, uid }: { readonly mounts: readonly Mount[]; readonly uid: number },
): UserManager | null {
  const mount = mounts.findLast((one) => one.fsType === "cgroup2");
  if (mount === undefined) return null;
  const socket = `/run/user/${uid}/systemd/private`;
  const dir = pathThroughMount(mount, `/user.slice/user-${uid}.slice/user@${uid}.service`);
  if (dir === null || files.stat(socket) === null) return null;
  const processes = words(files.text(`${dir}/init.scope/cgroup.procs`));
  if (!processes.some((pid) => pid !== "0")) return null;
  return { socket, dir, controllers: words(files.text(`${dir}/cgroup.controllers`)) };
}
