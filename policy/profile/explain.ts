/** What holds, in words, and who set it. */
import { formatDuration, formatFileMode, formatSize, type Millis, quoteValue } from "../units.ts";
import { signalName } from "../verdict/signals.ts";
import { sha256 } from "./digest.ts";
import { formatLimit } from "./limits.ts";
import { formatPath } from "./path.ts";
import { originOf } from "./provenance.ts";
import type { ResolveResult } from "./resolve.ts";
import { limitNames, type ResolvedMount, type ResolvedPolicy, type ResolvedSeccompRule, type SeccompFile } from "./types.ts";

export interface ExplainRow {
  /** As in a profile: "limits.memory". */
  readonly path: string;
  /** For people. */
  readonly value: string;
  /** In base units, for programs. */
  readonly raw: unknown;
  /** "built-in:default", a file, "option --memory". */
  readonly origin: string;
  readonly comment: string | null;
}
export interface DiffRow {
  readonly path: string;
  /** null: not there on this side. */
  readonly left: string | null;
  readonly right: string | null;
}
interface Field {
  readonly path: string;
  readonly value: string;
  readonly raw: unknown;
  readonly comment?: string | null;
}

function mountWords(mount: ResolvedMount): string {
  switch (mount.kind) {
    case "bind":
      return `${mount.source} on ${mount.target}, ${mount.access}${mount.optional ? ", if it exists" : ""}`;
    case "tmpfs":
      return `tmpfs on ${mount.target}, ${formatSize(mount.sizeBytes)}${mount.inodes === null ? "" : `, ${mount.inodes} inodes`}, mode ${formatFileMode(mount.mode)}`;
    case "mask":
    case "read-only":
      return `${mount.kind} ${mount.target}`;
  }
}

function ruleWords({ names, action, args }: ResolvedSeccompRule): string {
  const conditions = args.map(({ index, op, value, mask }) =>
    op === "masked-eq" ? `(arg${index} & ${mask}) == ${value}` : `arg${index} ${op} ${value}`,
  );
  return `${names.join(", ")}: ${action}${conditions.length === 0 ? "" : ` if ${conditions.join(" and ")}`}`;
}

/** The rule set "default" names every known call, which leaves nothing for a default action (test/unit/seccomp/rule-sets.test.ts). */
function defaultActionWords({ defaultAction, ruleSets, file }: ResolvedPolicy["seccomp"]): string {
  if (defaultAction === null) return file === null ? "as the rule set says" : "as the file says";
  return file === null && ruleSets.includes("default")
    ? `${defaultAction} (no effect: rule set "default" names every known call)`
    : defaultAction;
}

const listWords = (values: readonly string[]): string => (values.length === 0 ? "none" : values.join(", "));

const withoutText = (file: SeccompFile | null) => (file === null ? null : { path: file.path, sha256: sha256(file.text) });

/** A policy to be read by people and programs: of a file in Docker's format, which one it is. */
export function policyFacts(policy: ResolvedPolicy): unknown {
  return { ...policy, seccomp: { ...policy.seccomp, file: withoutText(policy.seccomp.file) } };
}

function fieldsOf(policy: ResolvedPolicy): readonly Field[] {
  const { rootfs, user, process: start, seccomp, limits } = policy;
  const plain = (path: string, raw: string | number | boolean): Field => ({ path, value: String(raw), raw });
  const list = (path: string, raw: readonly string[]): Field => ({ path, value: listWords(raw), raw });
  const each = <T extends { readonly comment: string | null }>(
    path: string,
    values: readonly T[],
    words: (value: T) => string,
  ): readonly Field[] =>
    values.length === 0
      ? [{ path, value: "none", raw: [] }]
      : values.map((raw, index) => ({ path: `${path}[${index}]`, value: words(raw), raw, comment: raw.comment }));
  return [
    plain("rootfs.kind", rootfs.kind),
    ...(rootfs.kind === "image" ? [plain("rootfs.reference", rootfs.reference)] : []),
    ...(rootfs.kind === "directory" ? [plain("rootfs.path", rootfs.path)] : []),
    plain("rootfs.writable", rootfs.writable),
    plain("rootfs.overlay.driver", rootfs.overlay),
    plain("scratch.storage", policy.scratch.storage),
    plain("user.mode", user.mode),
    plain("user.uid", user.uid),
    plain("user.gid", user.gid),
    plain("user.map", user.map),
    plain("namespaces.user", policy.namespaces.user),
    plain("proc", policy.proc),
    plain("sys", policy.sys),
    ...each("mounts", policy.mounts, mountWords),
    plain("process.workdir", start.workdir),
    ...Object.entries(start.env).map(([name, raw]) => ({ path: formatPath(["process", "env", name]), value: quoteValue(raw), raw })),
    list("process.inheritEnv", start.inheritEnv),
    { path: "process.umask", value: formatFileMode(start.umask), raw: start.umask },
    plain("process.hostname", start.hostname),
    { path: "process.stopSignal", value: start.stopSignal === null ? "none" : signalName(start.stopSignal), raw: start.stopSignal },
    { path: "process.stopTimeout", value: formatDuration(start.stopTimeout as Millis), raw: start.stopTimeout },
    ...limitNames.map((name) => ({ path: `limits.${name}`, value: formatLimit(name, limits[name]), raw: limits[name] })),
    list("limits.required", policy.required),
    list("seccomp.extends", seccomp.ruleSets),
    { path: "seccomp.defaultAction", value: defaultActionWords(seccomp), raw: seccomp.defaultAction },
    plain("seccomp.audit", seccomp.audit),
    { path: "seccomp.file", value: seccomp.file?.path ?? "none", raw: withoutText(seccomp.file) },
    ...each("seccomp.syscalls", seccomp.syscalls, ruleWords),
    list("capabilities", policy.capabilities),
    plain("landlock.required", policy.landlock.required),
    plain("network.mode", policy.network.mode),
  ];
}

/** Every field of a resolved profile with its value in words and the file or option that set it. */
export function explainProfile({ policy, provenance, comments }: ResolveResult): readonly ExplainRow[] {
  return fieldsOf(policy).map(({ path, value, raw, comment }) => ({
    path,
    value,
    raw,
    origin: originOf(provenance, path) ?? "built-in:default",
    comment: comment ?? (Object.hasOwn(comments, path) ? (comments[path] ?? null) : null),
  }));
}

/** The fields in which two policies differ. */
export function diffPolicies(left: ResolvedPolicy, right: ResolvedPolicy): readonly DiffRow[] {
  const [a, b] = [left, right].map(
    (policy) => new Map(fieldsOf(policy).map(({ path, value, raw }) => [path, { value, key: JSON.stringify(raw) }])),
  );
  const paths = [...new Set([...(a?.keys() ?? []), ...(b?.keys() ?? [])])];
  return paths
    .filter((path) => a?.get(path)?.key !== b?.get(path)?.key)
    .map((path) => ({ path, left: a?.get(path)?.value ?? null, right: b?.get(path)?.value ?? null }));
}
