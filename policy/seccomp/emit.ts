/** From rules to BPF: a balanced tree over ranges of numbers, whose leaves are constant or test arguments. */
import { errnoReturn, type ReturnValue } from "./actions.ts";
import { type Assembler, dataOffset, type Label, makeAssembler } from "./assembler.ts";
import type { Condition } from "./conditions.ts";
import { errnoNumbers } from "./errno.ts";
import { type FilterRule, type FilterRules, fallThroughAction } from "./rules.ts";
import { auditArch, syscallNumbers, x32Bit } from "./syscalls.ts";

/** A call through another ABI would be judged by the wrong table: to its caller the kernel simply has no such ABI. */
export const foreignAction = errnoReturn(errnoNumbers.ENOSYS);

interface Leaf {
  /** Rules with conditions, in order; then `otherwise`. */
  readonly rules: readonly FilterRule[];
  readonly otherwise: ReturnValue;
}

/** From `start` up to the next range. */
interface Range extends Leaf {
  readonly start: number;
}

export function emitFilter(rules: FilterRules): Uint8Array {
  const assembler = makeAssembler();
  const native = assembler.label();
  const foreign = assembler.label();
  assembler.load(dataOffset.arch);
  assembler.branch("equal", { k: auditArch[rules.arch], yes: native, no: foreign });
  assembler.place(foreign);
  assembler.ret(foreignAction);
  assembler.place(native);
  assembler.load(dataOffset.nr);
  emitTree(assembler, rangesOf(rules));
  return assembler.assemble();
}

function rangesOf(rules: FilterRules): readonly Range[] {
  const constant = (otherwise: ReturnValue): Leaf => ({ rules: [], otherwise });
  const byNumber = new Map(Object.entries(syscallNumbers(rules.arch)).map(([name, number]) => [number, name]));
  const newest = Math.max(...byNumber.keys());
  const ranges: Range[] = [];
  const add = (start: number, leaf: Leaf): void => {
    const last = ranges.at(-1);
    // Only constant leaves join: a leaf with conditions belongs to one call.
    if (last !== undefined && last.rules.length === 0 && leaf.rules.length === 0 && last.otherwise === leaf.otherwise) return;
    ranges.push({ ...leaf, start });
  };
  for (let number = 0; number <= newest; number++) {
    const name = byNumber.get(number);
    add(number, name === undefined ? constant(rules.unknownAction) : leafOf(rules, name));
  }
  add(newest + 1, constant(rules.unknownAction));
  if (rules.arch === "x86_64") add(x32Bit, constant(foreignAction));
  return ranges;
}

/** Conditions that cannot change the outcome are dropped, so that the kernel's bitmap of constant answers covers the call. */
function leafOf(rules: FilterRules, name: string): Leaf {
  const list = rules.bySyscall.get(name) ?? [];
  const final = list.find((rule) => rule.conditions.length === 0);
  const otherwise = final?.action ?? fallThroughAction(rules, name);
  const conditional = list.filter((rule) => rule.conditions.length > 0);
  while (conditional.at(-1)?.action === otherwise) conditional.pop();
  return { rules: conditional, otherwise };
}

function emitTree(assembler: Assembler, ranges: readonly Range[]): void {
  const [first] = ranges;
  if (first === undefined) throw new RangeError("a tree needs a range");
  if (ranges.length === 1) {
    emitLeaf(assembler, first);
    return;
  }
  const middle = Math.ceil(ranges.length / 2);
  const below = assembler.label();
  const above = assembler.label();
  assembler.branch("greaterOrEqual", { k: ranges[middle]?.start ?? 0, yes: above, no: below });
  assembler.place(below);
  emitTree(assembler, ranges.slice(0, middle));
  assembler.place(above);
  emitTree(assembler, ranges.slice(middle));
}

function emitLeaf(assembler: Assembler, { rules, otherwise }: Leaf): void {
  for (const { conditions, action } of rules) {
    const next = assembler.label();
    for (const condition of conditions) {
      const holds = assembler.label();
      emitCondition(assembler, condition, { yes: holds, no: next });
      assembler.place(holds);
    }
    assembler.ret(action);
    assembler.place(next);
  }
  assembler.ret(otherwise);
}

interface Targets {
  readonly yes: Label;
  readonly no: Label;
}

function emitCondition(assembler: Assembler, condition: Condition, { yes, no }: Targets): void {
  switch (condition.op) {
    case "eq":
    case "masked-eq":
      emitEqual(assembler, condition, { yes, no });
      break;
    case "ne":
      emitEqual(assembler, condition, { yes: no, no: yes });
      break;
    case "gt":
      emitOrdered(assembler, { condition, comparison: "greater", yes, no });
      break;
    case "ge":
      emitOrdered(assembler, { condition, comparison: "greaterOrEqual", yes, no });
      break;
    case "le":
      emitOrdered(assembler, { condition, comparison: "greater", yes: no, no: yes });
      break;
    case "lt":
      emitOrdered(assembler, { condition, comparison: "greaterOrEqual", yes: no, no: yes });
      break;
  }
}

const word = (value: bigint): number => Number(value & 0xffffffffn);
const highWord = (value: bigint): number => word(value >> 32n);

function loadMasked(assembler: Assembler, offset: number, mask: number): void {
  assembler.load(offset);
  if (mask !== 0xffffffff) assembler.and(mask);
}

/** Only the words that the mask touches are loaded. */
function emitEqual(assembler: Assembler, { index, value, mask }: Condition, { yes, no }: Targets): void {
  const words = [
    { offset: dataOffset.high(index), mask: highWord(mask), k: highWord(value) },
    { offset: dataOffset.low(index), mask: word(mask), k: word(value) },
  ].filter((part) => part.mask !== 0);
  words.forEach((part, i) => {
    const isLast = i === words.length - 1;
    const holds = isLast ? yes : assembler.label();
    loadMasked(assembler, part.offset, part.mask);
    assembler.branch("equal", { k: part.k, yes: holds, no });
    if (!isLast) assembler.place(holds);
  });
}

interface Ordered extends Targets {
  readonly condition: Condition;
  readonly comparison: "greater" | "greaterOrEqual";
}

/** The high word decides unless it is equal; then the low word does. */
function emitOrdered(assembler: Assembler, { condition, comparison, yes, no }: Ordered): void {
  const { index, width, value, mask } = condition;
  if (width === 64) {
    const notGreater = assembler.label();
    const equal = assembler.label();
    assembler.load(dataOffset.high(index));
    assembler.branch("greater", { k: highWord(value), yes, no: notGreater });
    assembler.place(notGreater);
    assembler.branch("equal", { k: highWord(value), yes: equal, no });
    assembler.place(equal);
  }
  loadMasked(assembler, dataOffset.low(index), word(mask));
  assembler.branch(comparison, { k: word(value), yes, no });
}
