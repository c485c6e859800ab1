/**
 * Regions in words that people read: for each argument the ranges of values that it may have, and what is asked of its bits.
 * Regions that differ in the ranges of one argument only are joined.
 */
import { dataOffset } from "./assembler.ts";
import type { Knowledge } from "./regions.ts";
import { type Atom, fullWord, rangesOf } from "./word.ts";

/** Inclusive, ascending, apart from each other. */
export type WideRanges = readonly (readonly [low: bigint, high: bigint])[];

/** What is asked of the bits of an argument under a mask. */
export interface BitTest {
  readonly mask: bigint;
  readonly ranges: WideRanges;
}

/** Of one argument. */
export interface Side {
  /** How many bits were looked at. */
  readonly width: number;
  readonly ranges: WideRanges;
  readonly bits: readonly BitTest[];
}

/** Arguments that do not matter are absent. */
export type Box = ReadonlyMap<number, Side>;

const ones = (width: number): bigint => (1n << BigInt(width)) - 1n;
const isWithoutHoles = (mask: number): boolean => mask !== 0 && (mask & (mask + 1)) === 0;
const widthOf = (mask: number): number => 32 - Math.clz32(mask);
const wide = (ranges: ReturnType<typeof rangesOf>): WideRanges => ranges.map(([low, high]) => [BigInt(low), BigInt(high)] as const);

interface Word {
  /** The mask without holes that most atoms have; all of them compare these bits. */
  readonly mask: number;
  readonly ranges: WideRanges;
  readonly bits: readonly BitTest[];
}

function readWord(atoms: readonly Atom[]): Word {
  const masks = [...new Set(atoms.map(({ mask }) => mask))];
  const plain = masks.filter(isWithoutHoles).sort((a, b) => b - a)[0] ?? fullWord;
  const ofMask = (mask: number) => wide(rangesOf(atoms.filter((atom) => atom.mask === mask), mask)); // biome-ignore format: one line
  const bits = masks.filter((mask) => mask !== plain).map((mask) => ({ mask: BigInt(mask), ranges: ofMask(mask) }));
  return { mask: plain, ranges: ofMask(plain), bits };
}

const isFull = (ranges: WideRanges, width: number): boolean => ranges.length === 1 && ranges[0]?.[0] === 0n && ranges[0][1] === ones(width);
const raised = ({ mask, ranges }: BitTest): BitTest => ({
  mask: mask << 32n,
  ranges: ranges.map(([low, high]) => [low << 32n, high << 32n] as const),
});

/** Both words of an argument as one number of 64 bits; where ranges of it cannot say it, as what is asked of each half. */
function joinWords(low: Word, high: Word): Side {
  const bits = [...low.bits, ...high.bits.map(raised)];
  const asks = ({ mask, ranges }: BitTest): boolean => ranges.length !== 1 || ranges[0]?.[0] !== 0n || ranges[0][1] !== mask;
  const side = (ranges: WideRanges, more: readonly BitTest[] = []): Side => ({ width: 64, ranges, bits: [...bits, ...more.filter(asks)] });
  const [upper, lower] = [high.mask === fullWord ? high.ranges : null, low.mask === fullWord ? low.ranges : null];
  if (upper !== null && lower !== null) {
    if (isFull(lower, 32)) return side(upper.map(([from, to]) => [from << 32n, (to << 32n) | ones(32)] as const));
    if (upper.every(([from, to]) => from === to))
      return side(upper.flatMap(([at]) => lower.map(([from, to]) => [(at << 32n) | from, (at << 32n) | to] as const)));
  }
  const halves = [raised({ mask: BigInt(high.mask), ranges: high.ranges }), { mask: BigInt(low.mask), ranges: low.ranges }];
  return side([[0n, ones(64)]], halves);
}

export function boxOf(known: Knowledge): Box {
  const sides = [0, 1, 2, 3, 4, 5].flatMap((index): readonly (readonly [number, Side])[] => {
    const [low, high] = [known.get(dataOffset.low(index)) ?? [], known.get(dataOffset.high(index)) ?? []];
    if (low.length === 0 && high.length === 0) return [];
    const word = readWord(low);
    if (high.length > 0) return [[index, joinWords(word, readWord(high))]];
    return [[index, { width: widthOf(word.mask), ranges: word.ranges, bits: word.bits }]];
  });
  return new Map(sides);
}

const text = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner));

/** Boxes of which one equals another but for the ranges of `index` become one, until none is left to join. */
export function joinBoxes(boxes: readonly Box[]): readonly Box[] {
  let joined = boxes;
  for (let before = Number.POSITIVE_INFINITY; joined.length < before; ) {
    before = joined.length;
    for (const index of [0, 1, 2, 3, 4, 5]) joined = joinBy(joined, index);
  }
  return joined;
}

function joinBy(boxes: readonly Box[], index: number): readonly Box[] {
  const groups = new Map<string, Box>();
  for (const box of boxes) {
    const side = box.get(index);
    const others = [...box].filter(([other]) => other !== index);
    const key = text([others, side === undefined ? null : [side.width, side.bits]]);
    const group = groups.get(key);
    groups.set(
      key,
      group === undefined ? box : new Map([...others, ...joinSides(group.get(index), side, index)].sort(([a], [b]) => a - b)),
    );
  }
  return [...groups.values()];
}

/** Absent where nothing is asked of the argument any more. */
function joinSides(a: Side | undefined, b: Side | undefined, index: number): readonly (readonly [number, Side])[] {
  if (a === undefined || b === undefined) return [];
  const { width } = a;
  const ranges = unite([...a.ranges, ...b.ranges]);
  return isFull(ranges, width) && a.bits.length === 0 ? [] : [[index, { width, ranges, bits: a.bits }]];
}

function unite(ranges: WideRanges): WideRanges {
  const united: (readonly [bigint, bigint])[] = [];
  for (const [low, high] of ranges.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const last = united.at(-1);
    if (last === undefined || low > last[1] + 1n) united.push([low, high]);
    else if (high > last[1]) united[united.length - 1] = [last[0], high];
  }
  return united;
}

/** Whether a call's arguments lie in the box. */
export function boxContains(box: Box, args: readonly bigint[]): boolean {
  const within = (value: bigint, ranges: WideRanges): boolean => ranges.some(([low, high]) => value >= low && value <= high);
  return [...box].every(([index, { width, ranges, bits }]) => {
    const value = args[index] ?? 0n;
    return within(value & ones(width), ranges) && bits.every((test) => within(value & test.mask, test.ranges));
  });
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function rangeWords(ranges: WideRanges, all: bigint): string {
  const holes = complement(ranges, all);
  if (holes.length <= ranges.length && holes.every(([low, high]) => low === high))
    return `!= ${holes.map(([value]) => hex(value)).join(", ")}`;
  if (ranges.every(([low, high]) => low === high)) return `== ${ranges.map(([value]) => hex(value)).join(", ")}`;
  return `in ${ranges.map(([low, high]) => (low === high ? hex(low) : `${hex(low)}..${hex(high)}`)).join(", ")}`;
}

function complement(ranges: WideRanges, all: bigint): WideRanges {
  const holes: (readonly [bigint, bigint])[] = [];
  let from = 0n;
  for (const [low, high] of ranges) {
    if (low > from) holes.push([from, low - 1n]);
    from = high + 1n;
  }
  if (from <= all) holes.push([from, all]);
  return holes;
}

/** `arg0 == 0x10, 0x11 (32 bits)`, `arg1 != 0x5412 (32 bits)`, `arg1 in 0x3..0x9`, `arg0 & 0x7e020000 != 0x0`; all of them hold. */
export function boxWords(box: Box): readonly string[] {
  return [...box].flatMap(([index, { width, ranges, bits }]) => [
    ...(isFull(ranges, width) ? [] : [`arg${index} ${rangeWords(ranges, ones(width))}${width === 64 ? "" : ` (${width} bits)`}`]),
    ...bits.map((test) => `arg${index} & ${hex(test.mask)} ${rangeWords(test.ranges, test.mask)}`),
  ]);
}
