import { type BigIntStats, readlinkSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { absoluteHostPath } from "./paths.ts";

/** A host path of a run, and what it is for: `--stdin`, `the profile`. */
export interface NamedPath {
  readonly use: string;
  readonly path: string;
}

const maxLinks = 40; // as the kernel: MAXSYMLINKS

/** Where a file would be made that is not there yet: links are followed, also one that leads to nothing. */
function placeOf(path: string, links = 0): string {
  try {
    return realpathSync(path);
  } catch {
    // not there
  }
  const folder = dirname(path);
  if (folder === path) return path;
  const place = join(placeOf(folder, links), basename(path));
  try {
    return links < maxLinks ? placeOf(resolve(dirname(place), readlinkSync(place)), links + 1) : place;
  } catch {
    return place;
  }
}

function statusOf(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
  } catch {
    return null; // said by whoever opens it
  }
}

/** What tells two names of one file; null for a device, which any number of streams may share (/dev/null, a terminal). */
function identityOf(path: string): string | null {
  const absolute = absoluteHostPath(path);
  const status = statusOf(absolute);
  if (status === null) return placeOf(absolute);
  return status.isCharacterDevice() || status.isDirectory() ? null : `${status.dev}:${status.ino}`;
}

/**
 * Refuses a run in which an output would write over an input, or one output over another, under whatever names. Standard
 * output and error may share a file: that is opened once. Throws BelljarError `usage`.
 */
export function refuseSharedFiles(inputs: readonly NamedPath[], outputs: readonly NamedPath[]): void {
  const readBy = new Map<string, NamedPath>();
  for (const input of inputs) {
    const identity = identityOf(input.path);
    if (identity !== null) readBy.set(identity, input);
  }
  const writtenBy = new Map<string, NamedPath>();
  for (const output of outputs) {
    const identity = identityOf(output.path);
    if (identity === null) continue;
    const refuse = (other: NamedPath, does: string) =>
      new BelljarError("usage", `reading options: ${output.use} ${quoted(output.path)}: is the file that ${other.use} ${does}`, {
        hint: "name another file: one would be written over the other",
      });
    const input = readBy.get(identity);
    if (input !== undefined) throw refuse(input, "reads");
    const earlier = writtenBy.get(identity);
    const joined = earlier?.use === "'--stdout'" && output.use === "'--stderr'";
    if (earlier !== undefined && !joined) throw refuse(earlier, "writes");
    writtenBy.set(identity, output);
  }
}
