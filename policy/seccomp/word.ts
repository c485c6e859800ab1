/** What a path through a filter says of one 32-bit word of seccomp_data, and whether any value meets it. */

/** `word & mask` lies within low..high (`inside`), or is not the one value low (= high). */
export interface Atom {
  readonly mask: number;
  readonly low: number;
  readonly high: number;
  readonly inside: boolean;
}

export const fullWord = 0xffffffff;

export function holds({ mask, low, high, inside }: Atom, word: number): boolean {
  const value = (word & mask) >>> 0;
  return (value >= low && value <= high) === inside;
}

/** Inclusive, ascending, apart from each other. */
export type Ranges = readonly (readonly [low: number, high: number])[];

/** The values of `word & mask` that meet the atoms, all of which have that mask: one without holes (2^n-1). */
export function rangesOf(atoms: readonly Atom[], mask: number): Ranges {
  let [low, high] = [0, mask];
  const holes = new Set<number>();
  for (const atom of atoms) {
    if (!atom.inside) holes.add(atom.low);
    else [low, high] = [Math.max(low, atom.low), Math.min(high, atom.high)];
  }
  const ranges: (readonly [number, number])[] = [];
  for (const hole of [...holes].filter((value) => value >= low && value <= high).sort((a, b) => a - b)) {
    if (hole > low) ranges.push([low, hole - 1]);
    low = hole + 1;
  }
  if (low <= high) ranges.push([low, high]);
  return ranges;
}

/** Steps of the search below; nothing that people write comes near. */
const maxSteps = 100_000;

/** A value that meets all atoms, or null. */
export function findWord(atoms: readonly Atom[]): number | null {
  if (atoms.every(({ mask }) => mask === fullWord)) return rangesOf(atoms, fullWord)[0]?.[0] ?? null;
  return search(atoms);
}

/** What an atom still asks for, going down from the highest bit: whether the masked value is so far equal to a border. */
interface Progress {
  readonly atLow: boolean;
  readonly atHigh: boolean;
}

/**
 * Bit by bit from the highest, zeros first, going back where no value is left. States that failed are remembered.
 * @throws RangeError when it takes too long
 */
function search(atoms: readonly Atom[]): number | null {
  const failed = new Set<string>();
  let steps = 0;
  const descend = (bit: number, value: number, progress: readonly Progress[]): number | null => {
    const isFree = progress.every(({ atLow, atHigh }, i) => (atoms[i]?.inside ? !atLow && !atHigh : !atLow));
    if (isFree) return value;
    if (bit < 0) return progress.some(({ atLow }, i) => atLow && !atoms[i]?.inside) ? null : value;
    const state = `${bit} ${progress.map(({ atLow, atHigh }) => Number(atLow) * 2 + Number(atHigh)).join("")}`;
    if (failed.has(state)) return null;
    if (++steps > maxSteps) throw new RangeError("the conditions are too many to be decided");
    for (const choice of [0, 1]) {
      const next = advance(atoms, progress, { bit, choice });
      const found = next === null ? null : descend(bit - 1, (value | (choice << bit)) >>> 0, next);
      if (found !== null) return found;
    }
    failed.add(state);
    return null;
  };
  return descend(
    31,
    0,
    atoms.map(({ inside }) => ({ atLow: true, atHigh: inside })),
  );
}

function advance(
  atoms: readonly Atom[],
  progress: readonly Progress[],
  { bit, choice }: { readonly bit: number; readonly choice: number },
): readonly Progress[] | null {
  const next: Progress[] = [];
  for (const [i, { mask, low, high, inside }] of atoms.entries()) {
    const { atLow, atHigh } = progress[i] ?? { atLow: false, atHigh: false };
    const [masked, lowBit, highBit] = [(mask >>> bit) & choice & 1, (low >>> bit) & 1, (high >>> bit) & 1];
    if (inside && ((atLow && masked < lowBit) || (atHigh && masked > highBit))) return null;
    next.push({ atLow: atLow && masked === lowBit, atHigh: atHigh && masked === highBit });
  }
  return next;
}
