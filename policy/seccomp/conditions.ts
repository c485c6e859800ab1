/** Conditions on arguments: from the profile's spelling to exact unsigned values of the width that the kernel reads. */
import { BelljarError } from "../errors.ts";
import type { SeccompArgSpec } from "../profile/types.ts";
import { type ArgumentWidth, argumentWidth } from "./arguments.ts";
import { type Atom, findWord } from "./word.ts";

export type Operator = SeccompArgSpec["op"];

/** `(argument & mask) op value`, unsigned, on the low `width` bits; the mask is all ones but for masked-eq. */
export interface Condition {
  readonly index: number;
  readonly width: ArgumentWidth;
  readonly op: Operator;
  readonly value: bigint;
  readonly mask: bigint;
}

export function allOnes(width: ArgumentWidth): bigint {
  return (1n << BigInt(width)) - 1n;
}

export interface ConditionContext {
  readonly syscall: string;
  /** JSON path of the condition, for messages. */
  readonly where: string;
  readonly warn: (message: string) => void;
}

/** @throws BelljarError profile-invalid for values that are no integer of the width, and for masks where they do not belong. */
export function resolveCondition(spec: SeccompArgSpec, context: ConditionContext): Condition {
  const { syscall, where } = context;
  const known = argumentWidth(syscall, spec.index);
  const width = spec.width === undefined ? known : chosenWidth(spec.width, { known, context, index: spec.index });
  const value = parseInteger(spec.value, width, `${where}.value`);
  if (spec.op !== "masked-eq") {
    if (spec.mask !== undefined) {
      throw new BelljarError("profile-invalid", `${where}.mask: only masked-eq has a mask`, {
        hint: 'use "op": "masked-eq": (argument & mask) == value',
      });
    }
    return { index: spec.index, width, op: spec.op, value, mask: allOnes(width) };
  }
  if (spec.mask === undefined) throw new BelljarError("profile-invalid", `${where}.mask: masked-eq needs a mask`);
  return { index: spec.index, width, op: spec.op, value, mask: parseInteger(spec.mask, width, `${where}.mask`) };
}

interface WidthChoice {
  readonly known: ArgumentWidth;
  readonly index: number;
  readonly context: ConditionContext;
}

function chosenWidth(chosen: 32 | 64, { known, index, context }: WidthChoice): ArgumentWidth {
  if (chosen > known) {
    const what = `the kernel reads only ${known} bits of argument ${index} of ${context.syscall}`;
    context.warn(`${context.where}.width: ${what}: a program can walk around a comparison of ${chosen} by setting the others`);
  }
  if (chosen < known) {
    context.warn(
      `${context.where}.width: compares ${chosen} of the ${known} bits that the kernel reads of argument ${index} of ${context.syscall}`,
    );
  }
  return chosen;
}

/** Negative numbers stand for their two's complement (AT_FDCWD is -100). */
function parseInteger(written: number | string, width: ArgumentWidth, where: string): bigint {
  const text = String(written);
  if (typeof written === "number" && !Number.isSafeInteger(written)) {
    throw new BelljarError("profile-invalid", `${where}: ${text}: not an exact integer`, {
      hint: 'write large values as text: "0x8000000000000000"',
    });
  }
  if (!/^(-?\d+|0x[0-9a-fA-F]+)$/.test(text)) throw new BelljarError("profile-invalid", `${where}: '${text}': not an integer`);
  const value = BigInt(text);
  if (value > allOnes(width) || value < -(1n << BigInt(width - 1))) {
    throw new BelljarError("profile-invalid", `${where}: ${text} does not fit the ${width} bits that are compared`);
  }
  return BigInt.asUintN(width, value);
}

/** Whether the condition holds for this value of the argument. */
export function conditionHolds({ op, value, mask }: Condition, argument: bigint): boolean {
  const compared = argument & mask;
  switch (op) {
    case "eq":
    case "masked-eq":
      return compared === value;
    case "ne":
      return compared !== value;
    case "lt":
      return compared < value;
    case "le":
      return compared <= value;
    case "gt":
      return compared > value;
    case "ge":
      return compared >= value;
  }
}

/** Whether the condition holds for every value, for none, or depends on the argument. */
export function conditionKind({ op, value, mask, width }: Condition): "always" | "never" | "depends" {
  switch (op) {
    case "masked-eq":
      if ((value & ~mask) !== 0n) return "never";
      return mask === 0n ? "always" : "depends";
    case "lt":
      return value === 0n ? "never" : "depends";
    case "ge":
      return value === 0n ? "always" : "depends";
    case "gt":
      return value === allOnes(width) ? "never" : "depends";
    case "le":
      return value === allOnes(width) ? "always" : "depends";
    case "eq":
    case "ne":
      return "depends";
  }
}

/** Whether `conditions` can never hold together. Of 64-bit arguments only what equalities and borders say, not every contradiction. */
export function contradictory(conditions: readonly Condition[]): boolean {
  const byIndex = new Map<number, Condition[]>();
  for (const condition of conditions) byIndex.set(condition.index, [...(byIndex.get(condition.index) ?? []), condition]);
  return [...byIndex.values()].some(
    (list) => list.length > 1 && (list.every(({ width }) => width <= 32) ? isEmpty(list) : excludeEachOther(list)),
  );
}

/** No value of a word is left. */
function isEmpty(conditions: readonly Condition[]): boolean {
  try {
    return findWord(conditions.map(atomOf)) === null;
  } catch (error) {
    if (error instanceof RangeError) return false; // too many to be decided
    throw error;
  }
}

function atomOf({ op, value, mask }: Condition): Atom {
  const [k, all] = [Number(value), Number(mask)];
  const range = (low: number, high: number): Atom => ({ mask: all, low, high, inside: true });
  switch (op) {
    case "eq":
    case "masked-eq":
      return range(k, k);
    case "ne":
      return { mask: all, low: k, high: k, inside: false };
    case "lt":
      return range(0, k - 1);
    case "le":
      return range(0, k);
    case "gt":
      return range(k + 1, all);
    case "ge":
      return range(k, all);
  }
}

function excludeEachOther(conditions: readonly Condition[]): boolean {
  return conditions.some((a, i) => conditions.slice(i + 1).some((b) => excludes(a, b) || excludes(b, a)));
}

function excludes(a: Condition, b: Condition): boolean {
  const isEquality = a.op === "eq" || a.op === "masked-eq";
  if (isEquality && (b.op === "eq" || b.op === "masked-eq")) return (a.value & a.mask & b.mask) !== (b.value & a.mask & b.mask);
  if (a.width !== b.width) return false;
  if (a.op === "eq") return !conditionHolds(b, a.value);
  const [atMost, atLeast] = [borderOf(a, "lt", "le"), borderOf(b, "gt", "ge")];
  return atMost !== null && atLeast !== null && atMost < atLeast;
}

/** The last value that `strict` (less) or `wide` lets in; the first for greater. */
function borderOf({ op, value }: Condition, strict: Operator, wide: Operator): bigint | null {
  if (op === wide) return value;
  return op === strict ? value + (strict === "lt" ? -1n : 1n) : null;
}

const symbols: Readonly<Record<Operator, string>> = { eq: "==", ne: "!=", lt: "<", le: "<=", gt: ">", ge: ">=", "masked-eq": "==" };

/** `arg1 == 0x5412 (32 bits)`, `arg0 & 0x10000000 == 0x0 (32 bits)`. */
export function formatCondition({ index, width, op, value, mask }: Condition): string {
  const masked = op === "masked-eq" ? ` & 0x${mask.toString(16)}` : "";
  const bits = width === 64 ? "" : ` (${width} bits)`;
  return `arg${index}${masked} ${symbols[op]} 0x${value.toString(16)}${bits}`;
}
