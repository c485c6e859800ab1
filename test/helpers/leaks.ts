import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "./deadline.ts";

const cgroupMount = "/sys/fs/cgroup";

/** The host's mounts as this process sees them: no run may add or remove one. */
export function mounts(): readonly string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^(\d+ \d+ \S+ \S+ \S+).*/, "$1"))
    .sort();
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** Directories in which this user's runs make cgroups when that process starts them. */
function cgroupParents(pid: number | "self" = "self"): readonly string[] {
  const names = (dir: string): readonly string[] => {
    try {
      return readdirSync(dir);
    } catch {
      return [];
    }
  };
  const uid = process.getuid?.();
  const own = readFileSync(`/proc/${pid}/cgroup`, "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .filter((fields) => fields.length >= 3)
    .flatMap(([, controllers, path]) => {
      const mount = controllers === "" ? cgroupMount : join(cgroupMount, (controllers ?? "").replace(/^name=/, ""));
      return [join(mount, path ?? "/"), join(mount, path ?? "/", "..")];
    });
  const delegated = [cgroupMount, ...names(cgroupMount).map((name) => join(cgroupMount, name))].map((dir) => join(dir, `belljar-${uid}`));
  return [...new Set([...own, ...delegated])].filter((dir) => dir.startsWith(`${cgroupMount}/`) && existsSync(dir));
}

/** Where the user's manager of systemd makes scopes of runs; it removes them in its own time. */
const scopesOfUser = (uid = process.getuid?.()): string => `${cgroupMount}/user.slice/user-${uid}.slice/user@${uid}.service/app.slice`;

/** Cgroups of runs (belljar-run-<launcher pid>-...) whose launcher is dead: nobody will remove them any more. */
export function orphanedCgroups(): readonly string[] {
  return [...cgroupParents(), ...[scopesOfUser()].filter(existsSync)].flatMap((parent) =>
    readdirSync(parent)
      .filter((name) => {
        const pid = /^belljar-run-(\d+)(-|$)/.exec(name)?.[1];
        return pid !== undefined && !isAlive(Number(pid));
      })
      .map((name) => join(parent, name)),
  );
}

/** Cgroups of runs that this process, or a launcher of its own name, made. */
export function cgroupsOf(pid: number): readonly string[] {
  return cgroupParents(pid).flatMap((parent) =>
    readdirSync(parent)
      .filter((name) => name.startsWith(`belljar-run-${pid}-`))
      .map((name) => join(parent, name)),
  );
}

/** Files and links below a directory; empty directories are no leftovers. */
export function filesBelow(dir: string): readonly string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Throws when a mount has come or gone, or a run's cgroup outlives it. Waits a moment for what the kernel removes in its own time. */
export async function assertNoLeaks(mountsBefore: readonly string[], cgroupsBefore: readonly string[] = []): Promise<void> {
  const before = mountsBefore.join("\n");
  await until(() => mounts().join("\n") === before, { what: "the host's mounts to be what they were before the test", timeoutMs: 2000 });
  let orphans: readonly string[] = [];
  await until(
    () => {
      orphans = orphanedCgroups().filter((path) => !cgroupsBefore.includes(path));
      return orphans.length === 0;
    },
    { what: "the cgroups of dead runs to go away", timeoutMs: existsSync(scopesOfUser()) ? 20_000 : 2000 },
  ).catch((cause: unknown) => {
    throw new Error(`cgroups left behind: ${orphans.join(" ")}`, { cause });
  });
}
