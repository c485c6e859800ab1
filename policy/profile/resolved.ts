/** From the merged profile, complete and checked, to the policy in base units. */
import { type Reading, readDuration, readFileMode, readSize } from "../units.ts";
import { capabilityNumbers } from "./capabilities.ts";
import { readLimit } from "./limits.ts";
import type { Json } from "./merge.ts";
import { readStopSignal } from "./stop-signal.ts";
import {
  type LimitName,
  limitNames,
  type MountSpec,
  type Profile,
  type ResolvedLimits,
  type ResolvedMount,
  type ResolvedPolicy,
  type SeccompFile,
} from "./types.ts";

/** Size of a tmpfs mount that names none. The kernel's own default would be half of the machine's memory. */
const defaultTmpfsSize = "64M";

function sure<T>(reading: Reading<T>): T {
  if (!reading.ok) throw new Error(`a checked value is invalid: ${reading.problem}`);
  return reading.value;
}

function resolveMount(mount: MountSpec): ResolvedMount {
  const comment = mount.comment ?? null;
  switch (mount.kind) {
    case "bind": {
      const { source, target, access = "read-only", optional = false } = mount;
      return { kind: "bind", source, target, access, optional, comment };
    }
    case "tmpfs": {
      const { target, size = defaultTmpfsSize, inodes = null, mode = "0755" } = mount;
      return { kind: "tmpfs", target, sizeBytes: sure(readSize(size)), inodes, mode: sure(readFileMode(mode)), comment };
    }
    case "mask":
    case "read-only":
      return { kind: mount.kind, target: mount.target, comment };
  }
}

type Complete<T> = { readonly [K in keyof T]-?: NonNullable<T[K]> };
const listOf = (value: string | readonly string[]): readonly string[] => (typeof value === "string" ? [value] : value);
const unique = <T>(values: readonly T[]): readonly T[] => [...new Set(values)];

/** "FILE#seccomp.syscalls[2]" for the rule of this index. */
export type RuleOrigin = (index: number) => string;

/** What toPolicy takes besides the merged fields. */
export interface Named {
  readonly name: string;
  readonly description: string;
  readonly ruleOrigin: RuleOrigin;
  readonly seccompFile: SeccompFile | null;
}

/** `merged` holds every field: the built-in profile "default" lies under all others, and a test keeps that one complete. */
export function toPolicy(merged: Json, named: Named): ResolvedPolicy {
  const {
    rootfs,
    scratch,
    user,
    namespaces,
    proc,
    sys,
    mounts,
    process: start,
    limits,
    seccomp,
    capabilities,
    landlock,
    network,
  } = merged as unknown as Complete<Omit<Profile, "extends">>;
  const { workdir, env, inheritEnv, umask, hostname, stopTimeout } = start as Complete<typeof start>;
  const stopSignal = start.stopSignal ?? null;
  const common = { writable: rootfs.writable ?? false, overlay: rootfs.overlay?.driver ?? "auto" };
  const readLimits = Object.fromEntries(limitNames.map((name) => [name, sure(readLimit(name, limits[name] ?? null))]));
  const inNumberOrder = (a: string, b: string): number => (capabilityNumbers[a] ?? 0) - (capabilityNumbers[b] ?? 0);
  return {
    schemaVersion: 1,
    name: named.name,
    description: named.description,
    rootfs:
      rootfs.kind === "host"
        ? { kind: "host", ...common }
        : rootfs.kind === "image"
          ? { kind: "image", reference: rootfs.reference, ...common }
          : { kind: "directory", path: rootfs.path, ...common },
    scratch: { storage: scratch.storage ?? "memory" },
    user: { mode: user.mode ?? "single", uid: user.uid ?? 1000, gid: user.gid ?? 1000, map: user.map ?? "caller" },
    namespaces: { user: namespaces.user ?? "deny" },
    proc,
    sys,
    mounts: mounts.map(resolveMount),
    process: {
      ...{ workdir, env, inheritEnv: unique(inheritEnv), umask: sure(readFileMode(umask)), hostname },
      stopSignal: stopSignal === null ? null : sure(readStopSignal(stopSignal)),
      stopTimeout: sure(readDuration(stopTimeout)),
    },
    limits: readLimits as unknown as ResolvedLimits,
    required: limitNames.filter((name: LimitName) => (limits.required ?? []).includes(name)),
    seccomp: {
      ruleSets: listOf(seccomp.extends ?? "default"),
      defaultAction: seccomp.defaultAction ?? null,
      audit: seccomp.audit ?? true,
      file: named.seccompFile,
      syscalls: (seccomp.syscalls ?? []).map((rule, index) => ({
        names: rule.names,
        action: rule.action,
        args: rule.args ?? [],
        comment: rule.comment ?? null,
        origin: named.ruleOrigin(index),
      })),
    },
    capabilities: unique(capabilities).toSorted(inNumberOrder),
    landlock: { required: landlock.required ?? false },
    network: { mode: network.mode ?? "none" },
  };
}
