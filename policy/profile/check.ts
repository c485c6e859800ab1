/** All the rules that one profile must meet, on top of keys and types. Nothing throws: every mistake is collected. */
import { type Reading, readCount, readDuration, readFileMode, readSize } from "../units.ts";
import { capabilityNumbers } from "./capabilities.ts";
import { readLimit } from "./limits.ts";
import { formatPath, type PathSegment } from "./path.ts";
import { envNameProblem, hostnameProblem, hostPathProblem, mountTargetProblem, profileNameProblem, sandboxPathProblem } from "./paths.ts";
import { didYouMean, type Problem } from "./problems.ts";
import { checkSeccomp } from "./rules.ts";
import { checkShape } from "./shape.ts";
import { readStopSignal } from "./stop-signal.ts";
import { limitNames, type MountSpec, type Profile } from "./types.ts";

/** Files that a profile may name in one `extends`. */
const maxExtends = 16;

/** As {@link Profile}, but with holes where a value was refused already. */
export type Holed<T> = T extends readonly (infer E)[]
  ? readonly (Holed<E> | undefined)[]
  : T extends object
    ? { readonly [K in keyof T]?: Holed<T[K]> | undefined }
    : T;

/** Somebody who cancels waits for it. */
const maxStopMs = 3_600_000;

export type Report = (segments: readonly PathSegment[], message: string | null) => void;

function reported<T>(report: Report, segments: readonly PathSegment[], reading: Reading<T>): void {
  if (!reading.ok) report(segments, reading.problem);
}

function checkMounts(mounts: readonly (Holed<MountSpec> | undefined)[], report: Report): void {
  const targets = new Map<string, number>();
  for (const [index, mount] of mounts.entries()) {
    if (mount === undefined) continue;
    const at = ["mounts", index] as const;
    if (mount.target !== undefined) {
      report([...at, "target"], mountTargetProblem(mount.target, mount.kind ?? ""));
      const first = targets.get(mount.target);
      if (first !== undefined) report([...at, "target"], `is the target of mounts[${first}] already`);
      else targets.set(mount.target, index);
    }
    if (mount.kind === "bind" && "source" in mount && mount.source !== undefined) {
      report([...at, "source"], hostPathProblem(mount.source));
    }
    if (mount.kind === "tmpfs") {
      const { size, inodes, mode } = mount as Holed<Extract<MountSpec, { kind: "tmpfs" }>>;
      if (size !== undefined) reported(report, [...at, "size"], readSize(size, { min: 1 }));
      if (inodes !== undefined) reported(report, [...at, "inodes"], readCount(inodes, { min: 1 }));
      if (mode !== undefined) reported(report, [...at, "mode"], readFileMode(mode));
    }
  }
}

function checkProcess(start: NonNullable<Holed<Profile>["process"]>, report: Report): void {
  if (start.workdir !== undefined) report(["process", "workdir"], sandboxPathProblem(start.workdir));
  if (start.hostname !== undefined) report(["process", "hostname"], hostnameProblem(start.hostname));
  if (typeof start.stopSignal === "string") reported(report, ["process", "stopSignal"], readStopSignal(start.stopSignal));
  if (start.stopTimeout !== undefined)
    reported(report, ["process", "stopTimeout"], readDuration(start.stopTimeout, { min: 1, max: maxStopMs }));
  if (start.umask !== undefined) reported(report, ["process", "umask"], readFileMode(start.umask, { max: 0o777 }));
  for (const [name, value] of Object.entries(start.env ?? {})) {
    report(["process", "env", name], envNameProblem(name));
    if (value?.includes("\0")) report(["process", "env", name], "must not hold a NUL character");
  }
  for (const [index, name] of (start.inheritEnv ?? []).entries()) {
    if (name !== undefined) report(["process", "inheritEnv", index], envNameProblem(name));
  }
}

function checkLimits(limits: NonNullable<Holed<Profile>["limits"]>, report: Report): void {
  for (const name of limitNames) {
    const value = limits[name];
    if (value !== undefined) reported(report, ["limits", name], readLimit(name, value));
  }
}

/** Every mistake of one profile; none: `value` is a {@link Profile}. Missing comments are {@link missingComments}' business. */
export function checkProfile(value: unknown): { readonly problems: readonly Problem[]; readonly rest: Holed<Profile> } {
  const shape = checkShape(value);
  const rest = shape.rest as Holed<Profile>;
  const problems: Problem[] = [...shape.problems];
  const report: Report = (segments, message) => {
    if (message !== null) problems.push({ path: formatPath(segments), message });
  };
  if (rest.name !== undefined) report(["name"], profileNameProblem(rest.name));
  const refs = typeof rest.extends === "string" ? [rest.extends] : (rest.extends ?? []);
  if (refs.length > maxExtends) report(["extends"], `must not name more than ${maxExtends} profiles`);
  for (const [index, ref] of refs.entries()) {
    if (ref?.trim() === "") report(typeof rest.extends === "string" ? ["extends"] : ["extends", index], "must not be empty");
  }
  const rootfs = rest.rootfs;
  if (rootfs?.kind === "directory" && "path" in rootfs && rootfs.path !== undefined)
    report(["rootfs", "path"], hostPathProblem(rootfs.path));
  if (rootfs?.kind === "image" && "reference" in rootfs && !/^[!-~]{1,1024}$/.test(rootfs.reference ?? "")) {
    report(["rootfs", "reference"], 'must be an image reference such as "debian:12"');
  }
  checkMounts(rest.mounts ?? [], report);
  checkProcess(rest.process ?? {}, report);
  checkLimits(rest.limits ?? {}, report);
  checkSeccomp(rest.seccomp ?? {}, report);
  return { problems, rest };
}

/** The number of a capability by its name ("CAP_NET_RAW"), or what is wrong with the name. */
export function readCapability(name: string): Reading<number> {
  const number = Object.hasOwn(capabilityNumbers, name) ? capabilityNumbers[name] : undefined;
  if (number !== undefined) return { ok: true, value: number };
  return { ok: false, problem: `is not a capability${didYouMean(`CAP_${name.replace(/^CAP_/i, "")}`, Object.keys(capabilityNumbers))}` };
}
