import { createHash } from "node:crypto";
import type { ResolvedPolicy } from "./types.ts";

/** JSON with sorted keys: equal values, equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

export const sha256 = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;

/** Of all that the program meets. Names, comments and the places where rules were written are left out, so a moved file keeps its digest. */
export function policyDigest(policy: ResolvedPolicy): string {
  const met = {
    ...policy,
    name: undefined,
    description: undefined,
    mounts: policy.mounts.map((mount) => ({ ...mount, comment: undefined })),
    seccomp: {
      ...policy.seccomp,
      file: policy.seccomp.file === null ? null : sha256(policy.seccomp.file.text),
      syscalls: policy.seccomp.syscalls.map((rule) => ({ ...rule, comment: undefined, origin: undefined })),
    },
  };
  return sha256(canonicalJson(met));
}
