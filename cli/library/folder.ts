import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { makeRunFolder } from "../host/runtime-dir.ts";
import type { ProgramInput } from "../run/input.ts";
import type { InputFile, ProgramOptions } from "./options.ts";

/** A run's files between the caller's memory and the sandbox: in a private folder, which is gone afterwards, however the run ended. */
export interface Files {
  readonly filesIn: ProgramInput["filesIn"];
  readonly filesOut: ProgramInput["filesOut"];
  /** The outputs that were there; for the others the report says why not. */
  read(report: RunReport): Promise<Readonly<Record<string, Uint8Array>>>;
  remove(): Promise<void>;
}

const asFile = (file: string | Uint8Array | InputFile): InputFile =>
  typeof file === "string" || file instanceof Uint8Array ? { content: file } : file;

/** Numbered: their names in the sandbox mean nothing here. */
async function writeFiles(files: NonNullable<ProgramOptions["files"]>, folder: string): Promise<ProgramInput["filesIn"]> {
  await mkdir(join(folder, "in"));
  return Promise.all(
    Object.entries(files).map(async ([target, file], index) => {
      const hostPath = join(folder, "in", String(index));
      const { content, executable = false } = asFile(file);
      await writeFile(hostPath, content, { mode: executable ? 0o755 : 0o644, flag: "wx" });
      return { hostPath, target };
    }),
  );
}

export const noFiles: Files = { filesIn: [], filesOut: [], read: async () => ({}), remove: async () => undefined };

/** Writes the files that go in; nothing is made where there are none. Throws what the file system throws. */
export async function passFiles({ files = {}, outputs = [] }: Pick<ProgramOptions, "files" | "outputs">): Promise<Files> {
  if (Object.keys(files).length === 0 && outputs.length === 0) return noFiles;
  const folder = makeRunFolder();
  const remove = () => rm(folder, { recursive: true, force: true });
  const outPath = (index: number) => join(folder, "out", String(index));
  try {
    await mkdir(join(folder, "out"));
    return {
      filesIn: await writeFiles(files, folder),
      filesOut: outputs.map((source, index) => ({ source, hostPath: outPath(index) })),
      read: async (report) => {
        const found: [string, Uint8Array][] = [];
        for (const [index, name] of outputs.entries())
          if (report.outputs[index]?.error === null) found.push([name, new Uint8Array(await readFile(outPath(index)))]);
        return Object.fromEntries(found);
      },
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
