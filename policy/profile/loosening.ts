/** Every loosening carries a comment that says who needs it: without one, nobody dares to tighten it again. */
import type { Holed } from "./check.ts";
import type { Problem } from "./problems.ts";
import type { Profile } from "./types.ts";

interface Loosening {
  readonly path: string;
  readonly comment?: string | undefined;
  readonly what: string;
}

function looseningsOf(profile: Holed<Profile>): readonly Loosening[] {
  const found: Loosening[] = [];
  const { namespaces, network, seccomp } = profile;
  if (namespaces?.user === "allow") {
    found.push({ path: "namespaces.user", comment: namespaces.comment, what: '"allow" opens the kernel\'s whole namespace interface' });
  }
  if (network?.mode === "host")
    found.push({ path: "network.mode", comment: network.comment, what: '"host" reaches every service of this host' });
  if (profile.proc === "full") found.push({ path: "proc", what: '"full" shows the kernel\'s settings and state' });
  if (profile.proc === "host-read-only") found.push({ path: "proc", what: '"host-read-only" shows the host\'s processes' });
  if (profile.sys === "private") found.push({ path: "sys", what: '"private" shows the host\'s hardware' });
  for (const [index, mount] of (profile.mounts ?? []).entries()) {
    if (mount?.kind !== "bind" || !("access" in mount) || mount.access !== "read-write") continue;
    found.push({ path: `mounts[${index}]`, comment: mount.comment, what: "a writable host folder is outside every limit" });
  }
  if ((profile.capabilities ?? []).length > 0)
    found.push({ path: "capabilities", what: "capabilities widen what the kernel lets the program try" });
  const sets = typeof seccomp?.extends === "string" ? [seccomp.extends] : (seccomp?.extends ?? []);
  if (sets.includes("none")) found.push({ path: "seccomp.extends", what: '"none" filters nothing' });
  else if (sets.some((name) => name?.includes("#")))
    found.push({ path: "seccomp.extends", what: "a group may allow what the sets before it refuse" });
  const lets = (action: string | undefined): boolean => action === "allow" || action === "log";
  if (lets(seccomp?.defaultAction)) found.push({ path: "seccomp.defaultAction", what: "unnamed calls are let through" });
  for (const [index, rule] of (seccomp?.syscalls ?? []).entries()) {
    if (lets(rule?.action)) found.push({ path: `seccomp.syscalls[${index}]`, comment: rule?.comment, what: "the rule lets calls through" });
  }
  return found;
}

/** Loosenings of one file that nobody explained, in the field's own `comment` or in `comments` under its path or its parent's. */
export function missingComments(profile: Holed<Profile>): readonly Problem[] {
  const said = (path: string): boolean => {
    const comments = profile.comments ?? {};
    return Object.hasOwn(comments, path) && (comments[path] ?? "").trim() !== "";
  };
  return looseningsOf(profile)
    .filter(({ path, comment }) => !comment?.trim() && !said(path) && !said(path.replace(/(\.[^.]*|\[\d+\])$/, "")))
    .map(({ path, comment, what }) => {
      const place =
        comment === undefined && !/^(mounts|seccomp\.syscalls)\[|^namespaces|^network/.test(path)
          ? `"comments": {"${path}": …}`
          : '"comment"';
      return { path, message: `needs a ${place} that says who needs it (${what})` };
    });
}
