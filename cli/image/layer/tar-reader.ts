import type { LayerLimits } from "./limits.ts";
import { mergePax, noPax, type PaxRecords, paxId, paxSize, paxTime, readPax, type Time } from "./pax.ts";
import { LayerProblem, shownPath } from "./problem.ts";
import { checkSparse, type Fragment, gnuFragments, type MapReader, mapReader, paxSparse, type SparseFile } from "./sparse.ts";
import { blockBytes, isZeroBlock, readHeader, type TarHeader, tarNumber } from "./tar-header.ts";

export type TarType = "file" | "hardlink" | "symlink" | "character-device" | "block-device" | "directory" | "fifo";

/** One entry, with everything that extended headers say of it. Texts have one character per byte. */
export interface TarEntry {
  readonly type: TarType;
  readonly path: string;
  readonly linkPath: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Time;
  /** Of a file, holes included; 0 for everything else. */
  readonly size: number;
  readonly pax: ReadonlyMap<string, string>;
}

export interface TarHandler {
  entry(entry: TarEntry): void;
  /** Bytes of the last entry, a file; ascending, what is left out is a hole. The buffer is the archive's: it may be kept, not changed. */
  data(bytes: Buffer, offset: number): void;
}

export interface TarReader {
  write(chunk: Buffer): void;
  /** Throws when the archive is cut off. */
  end(): void;
}

export type TarLimits = Pick<LayerLimits, "maxEntries" | "maxHeaderBytes">;

const types: Readonly<Record<string, TarType>> = {
  "0": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "character-device",
  "4": "block-device",
  "5": "directory",
  "6": "fifo",
  "7": "file", // contiguous
  S: "file", // sparse, old GNU
  D: "directory", // GNU, with a list of its names as data
};

interface Pending {
  pax: PaxRecords | null;
  longPath: string | null;
  longLink: string | null;
}

const cString = (bytes: Buffer): string => {
  const end = bytes.indexOf(0);
  return bytes.toString("latin1", 0, end === -1 ? bytes.length : end);
};

/** The header and what was said of the entry before it. A long-name header of GNU's takes nothing from pax records: they are the entry's. */
function describe(header: TarHeader, pax: PaxRecords, pending: Pending): { readonly entry: TarEntry; readonly storedBytes: number } {
  const said = (key: string): string | null => {
    const value = pax.values.get(key);
    return value === undefined || value === "" ? null : value;
  };
  let type = types[header.type];
  const path = pending.longPath ?? said("GNU.sparse.name") ?? said("path") ?? header.path;
  if (type === undefined) throw new LayerProblem(`${shownPath(path)}: an entry of the unknown type ${JSON.stringify(header.type)}`);
  // Before 1988 a slash at the end was all that told a directory.
  if (type === "file" && path.endsWith("/")) type = "directory";
  const size = said("size");
  const [uid, gid, mtime] = [said("uid"), said("gid"), said("mtime")];
  const storedBytes = size === null ? header.size : paxSize(size, "size");
  if (storedBytes < 0) throw new LayerProblem(`${shownPath(path)}: a negative size`);
  const entry: TarEntry = {
    type,
    path,
    linkPath: pending.longLink ?? said("linkpath") ?? header.linkPath,
    mode: header.mode,
    uid: uid === null ? header.uid : paxId(uid),
    gid: gid === null ? header.gid : paxId(gid),
    mtime: mtime === null ? { seconds: header.mtimeSeconds, nanoseconds: 0 } : paxTime(mtime),
    size: type === "file" ? storedBytes : 0,
    pax: pax.values,
  };
  // Links, devices and fifos have no data whatever their size says, as GNU tar and Go read them; type D has.
  const hasData = type === "file" || header.type === "D" || (type === "directory" && header.type === "0");
  return { entry, storedBytes: hasData ? storedBytes : 0 };
}

type Phase = "header" | "extended" | "extension" | "map" | "data" | "padding" | "over";

/**
 * Reads a tar archive (POSIX ustar and pax, GNU, star, V7) that comes in chunks of any size, and calls the handler while `write` runs.
 * Throws LayerProblem. Ends at two zero blocks, or where the input ends between entries; what follows is not looked at.
 */
export function tarReader(handler: TarHandler, limits: TarLimits): TarReader {
  let phase: Phase = "header";
  let global = noPax;
  let pending: Pending = { pax: null, longPath: null, longLink: null };
  let header: TarHeader | null = null;
  let entry: TarEntry | null = null;
  let entries = 0;
  let zeroBlocks = 0;
  const block = Buffer.alloc(blockBytes);
  let blockFill = 0;
  // extended: the header's content. data: bytes still stored, and where they go. padding: bytes to the next block.
  let extended: Buffer[] = [];
  let left = 0;
  let padding = 0;
  let fragments: readonly Fragment[] = [];
  let fragment = 0;
  let inFragment = 0;
  let sparseSize = 0;
  let gnuMap: Fragment[] = [];
  let map: MapReader | null = null;

  const pad = (bytes: number): number => (blockBytes - (bytes % blockBytes)) % blockBytes;

  const startData = (file: SparseFile | null, storedBytes: number): void => {
    if (entry === null) return;
    if (file !== null) checkSparse(file, storedBytes);
    fragments = file?.fragments ?? [{ offset: 0, length: storedBytes }];
    fragment = 0;
    inFragment = 0;
    left = storedBytes;
    handler.entry(file === null ? entry : { ...entry, size: file.size });
    phase = left > 0 ? "data" : padding > 0 ? "padding" : "header";
  };

  const startEntry = (of: TarHeader, at: Buffer): void => {
    const pax = mergePax(global, pending.pax ?? noPax);
    const described = describe(of, pax, pending);
    entry = described.entry;
    const { storedBytes } = described;
    pending = { pax: null, longPath: null, longLink: null };
    padding = pad(storedBytes);
    if (of.type === "S") {
      gnuMap = [...gnuFragments(at, { at: 386, count: 4 })];
      sparseSize = tarNumber(at, { at: 483, length: 12, what: "size" });
      left = storedBytes;
      if (at[482] !== 0) phase = "extension";
      else startData({ size: sparseSize, fragments: gnuMap }, storedBytes);
      return;
    }
    const sparse = entry.type === "file" ? paxSparse(pax) : null;
    if (sparse !== null && "map" in sparse) {
      sparseSize = sparse.size;
      left = storedBytes;
      map = mapReader(limits.maxHeaderBytes);
      phase = "map";
      if (left === 0) throw new LayerProblem(`${shownPath(entry.path)}: a sparse file without a map`);
    } else startData(sparse, storedBytes);
  };

  const takeHeader = (at: Buffer): void => {
    if (isZeroBlock(at)) {
      if (++zeroBlocks === 2) phase = "over";
      return;
    }
    zeroBlocks = 0;
    if (++entries > limits.maxEntries) throw new LayerProblem(`more than ${limits.maxEntries} entries`);
    const read = readHeader(at);
    if ("xgXLK".includes(read.type)) {
      if (read.size < 0 || read.size > limits.maxHeaderBytes)
        throw new LayerProblem(`an extended header of more than ${limits.maxHeaderBytes} bytes`);
      header = read;
      extended = [];
      left = read.size;
      padding = pad(left);
      phase = "extended";
      if (left === 0) takeExtended();
    } else if (read.type === "V") {
      left = 0; // a label of the volume, no entry
    } else startEntry(read, at);
  };

  const takeExtended = (): void => {
    const bytes = Buffer.concat(extended);
    if (header?.type === "L") pending.longPath = cString(bytes);
    else if (header?.type === "K") pending.longLink = cString(bytes);
    else if (header?.type === "g") global = mergePax(global, readPax(bytes));
    else pending.pax = readPax(bytes);
    phase = padding > 0 ? "padding" : "header";
  };

  const takeBlock = (at: Buffer): void => {
    if (phase === "header") takeHeader(at);
    else if (phase === "extension") {
      gnuMap.push(...gnuFragments(at, { at: 0, count: 21 }));
      if (gnuMap.length * 24 > limits.maxHeaderBytes) throw new LayerProblem("a sparse file with a map that is too long");
      if (at[504] === 0) startData({ size: sparseSize, fragments: gnuMap }, left);
    } else if (map !== null) {
      left -= blockBytes;
      if (left < 0) throw new LayerProblem("a sparse file whose map does not end");
      const found = map.take(at);
      if (found !== null) {
        map = null;
        startData({ size: sparseSize, fragments: found }, left);
      }
    }
  };

  /** Gives out data up to the end of a fragment or of the chunk; how many bytes were taken. */
  const takeData = (chunk: Buffer, at: number): number => {
    let here = fragments[fragment];
    while (here !== undefined && inFragment === here.length) {
      here = fragments[++fragment];
      inFragment = 0;
    }
    if (here === undefined) throw new LayerProblem("a file with more data than its map says");
    const take = Math.min(chunk.length - at, left, here.length - inFragment);
    if (entry?.type === "file") handler.data(chunk.subarray(at, at + take), here.offset + inFragment);
    inFragment += take;
    left -= take;
    if (left === 0) phase = padding > 0 ? "padding" : "header";
    return take;
  };

  /** Collects a whole block; how many bytes were taken. Most lie whole in the chunk and are not copied. */
  const collect = (chunk: Buffer, at: number): number => {
    if (blockFill === 0 && chunk.length - at >= blockBytes) {
      takeBlock(chunk.subarray(at, at + blockBytes));
      return blockBytes;
    }
    const take = Math.min(blockBytes - blockFill, chunk.length - at);
    chunk.copy(block, blockFill, at, at + take);
    blockFill += take;
    if (blockFill === blockBytes) {
      blockFill = 0;
      takeBlock(block);
    }
    return take;
  };

  return {
    write(chunk) {
      for (let at = 0; at < chunk.length && phase !== "over"; ) {
        if (phase === "data") at += takeData(chunk, at);
        else if (phase === "padding" || phase === "extended") {
          const take = Math.min(chunk.length - at, phase === "padding" ? padding : left);
          if (phase === "extended") {
            extended.push(chunk.subarray(at, at + take));
            left -= take;
            if (left === 0) takeExtended();
          } else {
            padding -= take;
            if (padding === 0) phase = "header";
          }
          at += take;
        } else at += collect(chunk, at);
      }
    },
    end() {
      // umoci's insert (0.4) leaves out what fills the last block; as Go reads it, that is an end.
      const atEnd = (phase === "header" && blockFill === 0) || phase === "padding";
      const between = atEnd && pending.pax === null && pending.longPath === null && pending.longLink === null;
      if (!between && phase !== "over") throw new LayerProblem("the archive is cut off");
    },
  };
}
