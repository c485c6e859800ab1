/**
 * Every way through compiled filters: the kernel's data is taken as unknown words, each branch splits what is known of one of
 * them, and ways that no value takes are left out. Together the regions cover every call, and no two overlap; what a filter
 * does is so read off its instructions and not off the rules that it was made from.
 */
import { splitReturnValue } from "./actions.ts";
import { dataOffset, instructionSize, opcode } from "./assembler.ts";
import { type Answer, simulateFilters, stricter } from "./simulate.ts";
import { auditArch } from "./syscalls.ts";
import { type Atom, findWord, fullWord, holds } from "./word.ts";

/** What is known of the words of seccomp_data, by offset. */
export type Knowledge = ReadonlyMap<number, readonly Atom[]>;

export interface Region {
  readonly known: Knowledge;
  /** What each group of filters answers, in their order. */
  readonly answers: readonly Answer[];
}

/** Filters of one task each, in the order in which it installed them. */
export type FilterGroups = readonly (readonly Uint8Array[])[];

/** Ways through the filters for one call; beyond it somebody has written very many rules for it. */
const maxRegions = 8192;

/** @throws RangeError for more regions than anybody could read, or instructions that our compiler does not write */
export function regionsOf(groups: FilterGroups, known: Knowledge, limit = maxRegions): readonly Region[] {
  const regions: Region[] = [];
  const programs = groups.map((filters) =>
    filters.toReversed().map((bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
  );
  const walk = (at: Place, facts: Knowledge): void => {
    const program = programs[at.answers.length]?.[at.filter];
    if (program === undefined) {
      const answers = [...at.answers, at.strictest];
      if (answers.length < programs.length) walk({ answers, filter: 0, strictest: mildest }, facts);
      else if (regions.push({ known: facts, answers }) > limit) throw new RangeError("the rules for one call are too many to be compared");
      return;
    }
    run(program, facts, (value, found) => walk({ ...at, filter: at.filter + 1, strictest: stricter(at.strictest, value) }, found));
  };
  walk({ answers: [], filter: 0, strictest: mildest }, known);
  return regions;
}

interface Place {
  readonly answers: readonly Answer[];
  /** Of the group's, the newest first. */
  readonly filter: number;
  readonly strictest: Answer;
}

const mildest: Answer = { action: "allow", data: 0 };

/** The accumulator: the word at `offset`, masked. */
interface Accumulator {
  readonly offset: number;
  readonly mask: number;
}

function run(
  program: DataView,
  facts: Knowledge,
  done: (answer: Answer, facts: Knowledge) => void,
  from = { pc: 0, a: { offset: 0, mask: 0 } },
): void {
  let a: Accumulator = from.a;
  for (let pc = from.pc; ; pc++) {
    const at = pc * instructionSize;
    if (at + instructionSize > program.byteLength) throw new RangeError("the program does not end in a return");
    const [code, k] = [program.getUint16(at, true), program.getUint32(at + 4, true)];
    switch (code) {
      case opcode.load:
        a = { offset: k, mask: fullWord };
        break;
      case opcode.and:
        a = { ...a, mask: (a.mask & k) >>> 0 };
        break;
      case opcode.jump:
        pc += k;
        break;
      case opcode.return:
        done(splitReturnValue(k), facts);
        return;
      default: {
        for (const [atom, jump] of branches(code, k, a).map((one, i) => [one, program.getUint8(at + 2 + i)] as const)) {
          const next = atom === null ? null : learn(facts, a.offset, atom);
          if (next !== null) run(program, next, done, { pc: pc + 1 + jump, a });
        }
        return;
      }
    }
  }
}

/** What is known where a comparison holds, and where it does not; null: it cannot be. */
function branches(code: number, k: number, { mask }: Accumulator): readonly [yes: Atom | null, no: Atom | null] {
  const range = (low: number, high: number): Atom | null => (low > high ? null : { mask, low, high, inside: true });
  switch (code) {
    case opcode.equal:
      return [range(k, k), { mask, low: k, high: k, inside: false }];
    case opcode.greater:
      return [range(k + 1, mask), range(0, Math.min(k, mask))];
    case opcode.greaterOrEqual:
      return [range(k, mask), range(0, Math.min(k - 1, mask))];
    case opcode.anyBit: {
      const bits = (mask & k) >>> 0;
      const none = { mask: bits, low: 0, high: 0 };
      return [
        { ...none, inside: false },
        { ...none, inside: true },
      ];
    }
    default:
      throw new RangeError(`instruction ${code} is none of our compiler's`);
  }
}

/** Null where no value is left. What was known already is not written down again. */
function learn(facts: Knowledge, offset: number, atom: Atom): Knowledge | null {
  const before = facts.get(offset) ?? [];
  const after = [...before, atom];
  if (findWord(after) === null) return null;
  const isImplied = oppositeOf(atom).every((opposite) => findWord([...before, opposite]) === null);
  return isImplied ? facts : new Map(facts).set(offset, after);
}

/** Atoms of which one holds exactly where `atom` does not. */
function oppositeOf({ mask, low, high, inside }: Atom): readonly Atom[] {
  if (!inside) return [{ mask, low, high, inside: true }];
  const below: Atom = { mask, low: 0, high: low - 1, inside: true };
  const above: Atom = { mask, low: high + 1, high: mask, inside: true };
  return [...(low > 0 ? [below] : []), ...(high < mask ? [above] : [])];
}

/** The words of a call of this architecture. */
export function knownCall(arch: keyof typeof auditArch, nr: number): Knowledge {
  const exactly = (value: number): readonly Atom[] => [{ mask: fullWord, low: value, high: value, inside: true }];
  return new Map([
    [dataOffset.arch, exactly(auditArch[arch])],
    [dataOffset.nr, exactly(nr)],
  ]);
}

export interface Witness {
  readonly arch: number;
  readonly nr: number;
  readonly args: readonly bigint[];
}

/** A call of the region. */
export function witnessOf({ known }: Region): Witness {
  const word = (offset: number): number => findWord(known.get(offset) ?? []) ?? 0;
  const args = [0, 1, 2, 3, 4, 5].map((index) => (BigInt(word(dataOffset.high(index))) << 32n) | BigInt(word(dataOffset.low(index))));
  return { arch: word(dataOffset.arch), nr: word(dataOffset.nr), args };
}

/** Whether a call lies in the region. */
export function contains({ known }: Region, { arch, nr, args }: Witness): boolean {
  const word = (offset: number): number => {
    if (offset === dataOffset.nr) return nr >>> 0;
    if (offset === dataOffset.arch) return arch >>> 0;
    const index = Math.floor((offset - dataOffset.low(0)) / 8);
    const value = args[index] ?? 0n;
    return Number((offset === dataOffset.low(index) ? value : value >> 32n) & 0xffffffffn);
  };
  return [...known].every(([offset, atoms]) => atoms.every((atom) => holds(atom, word(offset))));
}

/** Whether the simulator answers a call of the region as the walk found. */
export function isProven(region: Region, groups: FilterGroups): boolean {
  const call = witnessOf(region);
  return groups.every((filters, i) => {
    const [found, simulated] = [region.answers[i], simulateFilters(filters, call)];
    return found?.action === simulated.action && found.data === simulated.data;
  });
}
