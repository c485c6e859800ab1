import { mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeFolders } from "../../../cli/host/make-folders.ts";
import { tempDir } from "../../helpers/places.ts";

const made = (path: string): string => {
  try {
    makeFolders(path);
    return "made";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
};

test("makes what is missing, privately; what is there stays as it is", () => {
  const dir = tempDir("folders");
  mkdirSync(join(dir, "there"), { mode: 0o755 });
  symlinkSync("there", join(dir, "link"));
  expect(["there", "link", "link/a", "a/b/c", "a/b/c", "a/../d"].map((path) => made(join(dir, path)))).toEqual(Array(6).fill("made"));
  expect(["there", "there/a", "a", "a/b", "a/b/c", "d"].map((path) => statSync(join(dir, path)).mode & 0o777)).toEqual([
    0o755,
    ...Array(5).fill(0o700),
  ]);
});

test("says why not: a file, a dangling link, a place where nothing can be made", () => {
  const dir = tempDir("folders");
  writeFileSync(join(dir, "file"), "");
  symlinkSync("nowhere", join(dir, "dangling"));
  expect(["file", "file/below", "dangling", "dangling/below"].map((path) => made(join(dir, path)))).toEqual([
    "EEXIST",
    "ENOTDIR",
    "EEXIST",
    "EEXIST",
  ]);
  expect([made("/proc/belljar"), made("/proc/belljar/below")]).toEqual(["ENOENT", "ENOENT"]);
});
