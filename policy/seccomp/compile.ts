/** Rule sets and rules to the BPF that the launcher installs. */
import { createHash } from "node:crypto";
import type { Arch } from "../compile/types.ts";
import { BelljarError } from "../errors.ts";
import { type ReturnValue, splitReturnValue } from "./actions.ts";
import { instructionSize } from "./assembler.ts";
import { emitFilter } from "./emit.ts";
import { neverApplying } from "./reach.ts";
import type { Grants } from "./rule-sets.ts";
import { type FilterInput, type FilterRules, fallThroughAction, resolveBaseRules, resolveRules } from "./rules.ts";
import { syscallNumbers } from "./syscalls.ts";

export interface CompiledFilter {
  /** struct sock_filter[], little-endian. */
  readonly bytes: Uint8Array;
  readonly instructions: number;
  /** `sha256:…` of the bytes. */
  readonly digest: string;
  /** Rules that do nothing or less than they say, one sentence each, with the JSON path. */
  readonly warnings: readonly string[];
}

/** BPF_MAXINSNS (linux/bpf_common.h). */
export const maxInstructions = 4096;

/**
 * Without these a program could never start or end: the task that installs the filter then reads the gate, reports a failure
 * by write, and calls execve or exit_group.
 */
const neededToStart = ["execve", "read", "write", "exit_group"] as const;

/**
 * Compiles the filter of a profile.
 * @throws BelljarError profile-invalid: a value that no filter can hold, a filter too large, or one under which nothing could
 *   ever start
 */
export function compileFilter(input: FilterInput): CompiledFilter {
  const rules = resolveRules(input);
  const conditional = neededToStart.filter((name) => startability(rules, name) === "conditional");
  const impossible = neededToStart.filter((name) => startability(rules, name) === "impossible");
  if (impossible.length > 0) {
    throw new BelljarError("profile-invalid", `seccomp: the program could never start: ${impossible.join(", ")} would be refused`, {
      hint: `allow ${neededToStart.join(", ")}, or extend a built-in rule set`,
    });
  }
  const warnings = conditional.map((name) => `seccomp: ${name} is allowed only under conditions: the program may be unable to start`);
  if (input.seccomp.defaultAction !== null && decidesEveryCall(rules))
    warnings.push(
      'seccomp.defaultAction: has no effect: the rules decide every known call, and unknown ones get ENOSYS (rule set "default" names all; "strict" does not)',
    );
  const filter = finish(rules, warnings);
  return { ...filter, warnings: [...filter.warnings, ...neverApplying(rules)] };
}

/** Compiles the filter that every sandbox has beneath its profile's: foreign ABIs and what no profile may allow. */
export function compileBaseFilter(input: { readonly arch: Arch } & Omit<Grants, "capabilities">): CompiledFilter {
  return finish(resolveBaseRules(input), []);
}

function finish(rules: FilterRules, warnings: readonly string[]): CompiledFilter {
  const bytes = emitFittingFilter(rules);
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  return { bytes, instructions: bytes.length / instructionSize, digest, warnings: [...rules.warnings, ...warnings] };
}

/** @throws BelljarError profile-invalid for a filter that is larger than the kernel takes */
export function emitFittingFilter(rules: FilterRules): Uint8Array {
  const bytes = emitFilter(rules);
  const instructions = bytes.length / instructionSize;
  if (instructions > maxInstructions) {
    throw new BelljarError(
      "profile-invalid",
      `seccomp: the filter has ${instructions} instructions, the kernel takes at most ${maxInstructions}`,
      {
        hint: "use fewer rules with conditions on arguments",
      },
    );
  }
  return bytes;
}

/** Nothing is left for a default. */
function decidesEveryCall({ arch, bySyscall }: FilterRules): boolean {
  return Object.keys(syscallNumbers(arch)).every((name) => bySyscall.get(name)?.at(-1)?.conditions.length === 0);
}

function startability(rules: FilterRules, name: string): "free" | "conditional" | "impossible" {
  const list = rules.bySyscall.get(name) ?? [];
  const final = list.at(-1);
  const decides = final?.conditions.length === 0;
  const outcomes = [...list.map((rule) => rule.action), ...(decides ? [] : [fallThroughAction(rules, name)])];
  if (outcomes.every(runs)) return "free";
  return outcomes.some(runs) ? "conditional" : "impossible";
}

function runs(value: ReturnValue): boolean {
  const { action } = splitReturnValue(value);
  return action === "allow" || action === "log";
}
