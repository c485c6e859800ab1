import { type PaxRecords, paxSize } from "./pax.ts";
import { LayerProblem } from "./problem.ts";
import { blockBytes, tarNumber } from "./tar-header.ts";

/** Where data lies in a sparse file; everything else is a hole. */
export interface Fragment {
  readonly offset: number;
  readonly length: number;
}

/**
 * A sparse file as GNU tar stores it, in any of its formats (tar(1) manual, "Storing Sparse Files"): old GNU, pax 0.0, 0.1, 1.0.
 */
export interface SparseFile {
  /** With its holes, in bytes. */
  readonly size: number;
  readonly fragments: readonly Fragment[];
}

const bad = (): LayerProblem => new LayerProblem("a sparse file with an impossible map");

/** Fragments in order, without overlap, within the file, and as many bytes as the archive has stored. */
export function checkSparse(file: SparseFile, storedBytes: number): SparseFile {
  let end = 0;
  let sum = 0;
  for (const { offset, length } of file.fragments) {
    if (offset < end) throw bad();
    end = offset + length;
    sum += length;
    if (!Number.isSafeInteger(end)) throw bad();
  }
  if (end > file.size || sum !== storedBytes) throw bad();
  return file;
}

function pairs(numbers: readonly string[]): readonly Fragment[] {
  if (numbers.length % 2 !== 0) throw bad();
  const fragments: Fragment[] = [];
  for (let i = 0; i < numbers.length; i += 2)
    fragments.push({ offset: paxSize(numbers[i] ?? "", "sparse map"), length: paxSize(numbers[i + 1] ?? "", "sparse map") });
  return fragments;
}

/** What extended headers say of a sparse file: `map` where the map comes first in the data (format 1.0). null: it is none. */
export function paxSparse({ values, sparse }: PaxRecords): SparseFile | { readonly size: number; readonly map: "in-data" } | null {
  const major = values.get("GNU.sparse.major");
  if (major !== undefined) {
    if (major === "1" && values.get("GNU.sparse.minor") === "0")
      return { size: paxSize(values.get("GNU.sparse.realsize") ?? "", "size"), map: "in-data" };
    if (major !== "0") throw new LayerProblem(`a sparse file of the unknown format ${major}`);
  }
  const size = values.get("GNU.sparse.size");
  if (size === undefined) return null;
  const map = values.get("GNU.sparse.map");
  return { size: paxSize(size, "size"), fragments: pairs(map === undefined ? sparse : map === "" ? [] : map.split(",")) };
}

/** The fragments of an old GNU header (4 at 386) or of a block that continues it (21 at 0). */
export function gnuFragments(block: Buffer, place: { readonly at: number; readonly count: number }): readonly Fragment[] {
  const fragments: Fragment[] = [];
  for (let i = 0; i < place.count; i++) {
    const at = place.at + i * 24;
    if (block[at] === 0) break;
    fragments.push({
      offset: tarNumber(block, { at, length: 12, what: "sparse map" }),
      length: tarNumber(block, { at: at + 12, length: 12, what: "sparse map" }),
    });
  }
  return fragments;
}

/** The map of format 1.0: a count, then pairs, each a decimal number on a line, padded to whole blocks. */
export interface MapReader {
  /** Takes the next block of the data; the fragments when the map is complete. */
  take(block: Buffer): readonly Fragment[] | null;
}

export function mapReader(maxBytes: number): MapReader {
  const numbers: string[] = [];
  let partial = "";
  let bytes = 0;
  let wanted: number | null = null;
  return {
    take(block) {
      bytes += blockBytes;
      if (bytes > maxBytes) throw new LayerProblem(`a sparse file with a map of more than ${maxBytes} bytes`);
      const lines = (partial + block.toString("latin1")).split("\n");
      partial = lines.pop() ?? "";
      for (const line of lines) {
        if (wanted === null) wanted = paxSize(line, "sparse map") * 2;
        else if (numbers.length < wanted) numbers.push(line);
      }
      return wanted !== null && numbers.length >= wanted ? pairs(numbers) : null;
    },
  };
}
