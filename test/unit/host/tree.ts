import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { type HostFiles, hostFiles } from "../../../cli/host/host-files.ts";

/** A file's text, a link (`{ link }`), a directory (null), or text with a mode. */
export type TreeEntry = string | null | { readonly link: string } | { readonly text: string; readonly mode: number };

export interface FakeHost {
  readonly root: string;
  readonly files: HostFiles;
}

/** A host of the test's own beneath a temporary folder, removed when the test ends. */
export function fakeHost(tree: Readonly<Record<string, TreeEntry>>): FakeHost {
  const root = mkdtempSync(join(tmpdir(), "belljar-host-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, entry] of Object.entries(tree)) {
    const at = root + path;
    mkdirSync(entry === null ? at : dirname(at), { recursive: true, mode: 0o755 });
    if (entry === null) continue;
    if (typeof entry === "object" && "link" in entry) symlinkSync(entry.link, at);
    else {
      writeFileSync(at, typeof entry === "string" ? entry : entry.text);
      chmodSync(at, typeof entry === "string" ? 0o644 : entry.mode);
    }
  }
  return { root, files: hostFiles(root) };
}

/** The same host seen by a user who may not write the given paths: the tests themselves may run as root, whom no mode stops. */
export function readOnlyFor(files: HostFiles, refused: (path: string) => string | null): HostFiles {
  return { ...files, writeRefusal: (path) => refused(path) ?? files.writeRefusal(path) };
}
