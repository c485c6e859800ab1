/**
 * What a set of rules means, said as directly as it can be and without the compiler's code: the tests hold the compiled
 * filter against this.
 */

import type { Arch } from "../../../policy/compile/types.ts";
import type { ResolvedSeccomp, SeccompArgSpec } from "../../../policy/profile/types.ts";
import { argumentWidth } from "../../../policy/seccomp/arguments.ts";
import { syscallTables } from "../../../policy/seccomp/tables.gen.ts";
import base from "../../../profiles/seccomp/base.json" with { type: "json" };
import standard from "../../../profiles/seccomp/default.json" with { type: "json" };
import none from "../../../profiles/seccomp/none.json" with { type: "json" };
import strict from "../../../profiles/seccomp/strict.json" with { type: "json" };

export const ruleSetFiles = { default: standard, strict, none, base } as const;
export type RuleSetName = keyof typeof ruleSetFiles;

export const noRules: ResolvedSeccomp = { ruleSets: [], defaultAction: null, audit: false, file: null, syscalls: [] };
export const auditI386 = 0x40000003;
export const auditArm = 0x40000028;

interface Group {
  readonly names: readonly string[];
  readonly action: string;
  readonly args?: readonly SeccompArgSpec[];
  readonly liftedBy?: readonly string[];
}

export interface Question {
  readonly arch: Arch;
  readonly seccomp: ResolvedSeccomp;
  readonly capabilities: readonly string[];
  readonly userNamespaces: "deny" | "allow";
}

/** The action, in the profile's words, for a call of the native ABI that the tables know. */
export function interpretNamed({ seccomp, capabilities, userNamespaces }: Question, name: string, args: readonly bigint[]): string {
  const granted = [...capabilities, ...(userNamespaces === "allow" ? ["userNamespaces"] : [])];
  const sets = seccomp.ruleSets.map((set) => ruleSetFiles[set as RuleSetName]);
  const groups: Group[] = [...seccomp.syscalls];
  for (const set of [...sets].reverse()) {
    for (const group of set.groups as readonly Group[]) {
      const lifted = (group.liftedBy ?? []).some((lift) => granted.includes(lift));
      groups.push(lifted ? { ...group, action: "allow" } : group);
    }
  }
  for (const group of groups) {
    if (group.names.includes(name) && (group.args ?? []).every((spec) => holds(spec, name, args))) return group.action;
  }
  return seccomp.defaultAction ?? sets.at(-1)?.defaultAction ?? "?";
}

export function nameOf(arch: Arch, nr: number): string | undefined {
  return Object.entries(syscallTables[arch]).find(([, number]) => number === nr)?.[0];
}

function holds(spec: SeccompArgSpec, name: string, args: readonly bigint[]): boolean {
  const bits = spec.width ?? argumentWidth(name, spec.index);
  const low = (value: bigint): bigint => BigInt.asUintN(bits, value);
  const argument = low(args[spec.index] ?? 0n);
  const value = low(BigInt(spec.value));
  switch (spec.op) {
    case "eq":
      return argument === value;
    case "ne":
      return argument !== value;
    case "lt":
      return argument < value;
    case "le":
      return argument <= value;
    case "gt":
      return argument > value;
    case "ge":
      return argument >= value;
    case "masked-eq":
      return (argument & low(BigInt(spec.mask ?? 0))) === value;
  }
}
