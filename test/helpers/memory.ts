/** What is in the memory of another process: for root alone, where that process has shut itself off. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly flags: string;
  readonly name: string;
}

const mappings = (pid: number): readonly Mapping[] =>
  readFileSync(`/proc/${pid}/maps`, "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [range = "", flags = "", , , , ...name] = line.split(/\s+/);
      const [start = 0, end = 0] = range.split("-").map((text) => Number.parseInt(text, 16));
      return { start, end, flags, name: name.join(" ") };
    });

/** Memory that is shared with other processes: the kernel shows what is shared without a file as /dev/zero. */
export const sharedOf = (pid: number): readonly string[] =>
  mappings(pid)
    .filter(({ flags }) => flags.endsWith("s"))
    .map(({ name }) => name);

/** How often a text is in the memory of a process, in whatever part of it can be read. */
export function occurrences(pid: number, text: string): number {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const buffer = Buffer.alloc(1 << 20);
  let found = 0;
  for (const { start, end, flags, name } of mappings(pid)) {
    if (!flags.startsWith("r") || name.startsWith("[v")) continue;
    for (let at = start; at < end; at += buffer.length) {
      let count = 0;
      try {
        count = readSync(memory, buffer, 0, Math.min(buffer.length, end - at), at);
      } catch {
        continue; // pages that are reserved and were never there
      }
      for (let i = buffer.subarray(0, count).indexOf(text); i >= 0; i = buffer.subarray(0, count).indexOf(text, i + 1)) found++;
    }
  }
  closeSync(memory);
  return found;
}
