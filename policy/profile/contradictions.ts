/** What is right field by field and wrong together. Errors where the run could not mean what it says; else warnings. */
import { limitContradictions } from "./limit-contradictions.ts";
import type { Problem } from "./problems.ts";
import type { LimitName, ResolvedPolicy } from "./types.ts";

function requiredProblems({ limits, required }: ResolvedPolicy): readonly Problem[] {
  return required
    .filter((name) => limits[name] === null)
    .map((name) => ({ path: `limits.${name}`, message: 'must not be null, for "limits.required" names it' }));
}

/** Combinations that are refused. */
export function contradictionsOf(policy: ResolvedPolicy): readonly Problem[] {
  const problems: Problem[] = [...requiredProblems(policy)];
  if (policy.user.map === "isolated" && policy.user.mode === "single") {
    problems.push({ path: "user.map", message: 'must not be "isolated" with user.mode "single", whose only id is the caller\'s' });
  }
  if (policy.landlock.required && policy.namespaces.user === "allow") {
    problems.push({
      path: "landlock.required",
      message: 'must not be true with namespaces.user "allow": Landlock forbids the mounts of nested sandboxes',
    });
  }
  // The sandbox's mounts are locked only to namespaces below its own, and those of a nested one can be changed there. Who has this
  // capability in the sandbox's own changes them here. No other leads to it: what is not granted is not in the bounding set, so no
  // CAP_SETPCAP, CAP_SETFCAP or change of ids brings it; and CAP_SYS_PTRACE finds nobody who has it: init gave it up, and companions
  // are outside the pid namespace.
  if (policy.namespaces.user === "allow" && policy.capabilities.includes("CAP_SYS_ADMIN")) {
    problems.push({
      path: "capabilities",
      message:
        'must not hold CAP_SYS_ADMIN with namespaces.user "allow": the program could undo read-only mounts and masks; nested sandboxes do not need it, for a namespace that a program makes gives it every capability there',
    });
  }
  if (policy.proc === "private" && policy.mounts.some((mount) => mount.kind !== "bind" && mount.target.startsWith("/proc/"))) {
    problems.push({ path: "mounts", message: 'must not hide parts of /proc with proc "private", which does not show them' });
  }
  return problems;
}

/**
 * Combinations that work, though hardly as meant; and what a loosening undoes. One sentence each. Of two limits, a warning is
 * due when somebody asked for the one that cannot be reached: who only tightens the other has nothing to be told.
 */
export function warningsOf(policy: ResolvedPolicy, asked: (name: LimitName) => boolean): readonly string[] {
  const warnings = [...limitContradictions(policy, asked)];
  const nested = policy.namespaces.user === "allow";
  if (policy.network.mode === "host") {
    const sockets = nested
      ? ' and abstract sockets included: Landlock, which could keep those from it, is off with namespaces.user "allow"'
      : ", and its abstract sockets where Landlock is older than Linux 6.12";
    warnings.push(`network.mode "host": the program reaches every service that this host reaches, those on its loopback${sockets}`);
  }
  if (nested) {
    warnings.push(
      'namespaces.user "allow": the program can make mounts of its own, so Landlock is off and the masks of /proc can be undone inside',
    );
  }
  return warnings;
}
