// Lines of the program `list-tree` (test/fixtures/programs), as they must be.
import type { BelljarOptions } from "./belljar.ts";
import type { ImageHome } from "./run-image.ts";

export interface SeenEntry {
  readonly mode?: number;
  readonly owner?: readonly [number, number];
  /** Seconds and nanoseconds: "5.000000001". */
  readonly time?: string;
  readonly content?: string | Buffer;
  /** All names of the file, the first in order of the listing first. */
  readonly names?: readonly string[];
  /** Of a link. */
  readonly target?: string;
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** FNV-1a of 64 bits, as list-tree.c has it. */
export function sumOf(content: string | Buffer): string {
  let sum = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(content)) sum = BigInt.asUintN(64, (sum ^ BigInt(byte)) * 0x100000001b3n);
  return sum.toString(16).padStart(16, "0");
}

function line(path: string, kind: "file" | "directory" | "link" | "fifo", entry: SeenEntry, mode: number): string {
  const [uid, gid] = entry.owner ?? [0, 0];
  const content = entry.content ?? "";
  return [
    `${path} ${kind} ${(entry.mode ?? mode).toString(8).padStart(4, "0")} ${uid}:${gid} ${entry.time ?? "0.000000000"}`,
    ...(kind === "file" ? [`size=${Buffer.from(content).length} sum=${sumOf(content)}`] : []),
    ...(entry.names === undefined ? [] : [`links=${entry.names.length}=${entry.names[0]}`]),
    ...(kind === "link" ? [`-> ${entry.target ?? ""}`] : []),
    ...Object.entries(entry.xattrs ?? {}).map(([name, value]) => `${name}=${value}`),
  ].join(" ");
}

export const seen = {
  file: (path: string, content: string | Buffer = "", more: SeenEntry = {}): string => line(path, "file", { content, ...more }, 0o644),
  directory: (path: string, more: SeenEntry = {}): string => line(path, "directory", more, 0o755),
  link: (path: string, target: string, more: SeenEntry = {}): string => line(path, "link", { target, ...more }, 0o777),
  fifo: (path: string, more: SeenEntry = {}): string => line(path, "fifo", more, 0o644),
} as const;

/** With one id, every owner is the caller's, which the program calls root. */
export function squashed(lines: readonly string[]): readonly string[] {
  return lines.map((text) => text.replace(/ \d+:\d+ /, " 0:0 "));
}

export const worlds = ["single", "subordinate"] as const;
export type World = (typeof worlds)[number];

/** Root of the sandbox, who may look everywhere. */
export const asRoot = (world: World): readonly string[] => ["-p", "image", "--set", `user.mode=${world}`];

/** What a program sees below /t of an image whose base layer has the tools. */
export async function listSeen(
  home: ImageHome,
  image: string,
  options: readonly string[],
  more: BelljarOptions = {},
): Promise<readonly string[]> {
  const { stdout, stderr, report } = await home.run(image, options, ["/bin/list-tree", "/t"], { deadlineMs: 120_000, ...more });
  if (report.verdict !== "ok") throw new Error(`list-tree: ${report.message}; ${stderr}`);
  return stdout.trimEnd().split("\n");
}
