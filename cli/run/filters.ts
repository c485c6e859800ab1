import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Arch } from "../../policy/compile/types.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import { baseFilterKey, filterKey } from "../../policy/seccomp/key.ts";
import { readFilter, writeFilter } from "./filter-cache.ts";

export interface Filters {
  readonly base: Uint8Array;
  readonly profile: Uint8Array;
  /** Of the profile's filter. */
  readonly digest: string;
  readonly warnings: readonly string[];
}
