import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostFiles } from "../../../cli/host/host-files.ts";
import { missingHint } from "../../../cli/run/missing-program.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "belljar-missing-"));
  for (const dir of ["usr/bin", "opt/tool/bin", "home/u"]) mkdirSync(join(root, dir), { recursive: true });
  for (const path of ["usr/bin/python3", "opt/tool/bin/deno"]) writeFileSync(join(root, path), "", { mode: 0o755 });
  writeFileSync(join(root, "home/u/a.py"), "");
  // A relative path of the tree: the host's current folder stands in front of it.
  writeFileSync(`${root}a.py`, "");
});
afterAll(() => {
  rmSync(root, { recursive: true });
  rmSync(`${root}a.py`);
});
const hint = (word: string, { program = word, hostScripts = true } = {}) =>
  missingHint({ word, program, hostScripts }, hostFiles(root), { PATH: "/usr/bin:/opt/tool/bin" });

test("each hint is about something that was looked at", () => {
  expect(hint("deno")).toContain("-v /opt/tool:/opt/tool");
  expect(hint("a.py")).toContain("did you mean './a.py'?");
  expect(hint("/home/u/a.py")).toContain("--script /home/u/a.py");
  expect(hint("./b.py")).toContain("no ./b.py on the host either");
  expect(hint("pyhton3")).toBe("did you mean 'python3'?");
  expect(hint("./x.rb", { program: "ruby" })).toContain("./x.rb asks for it");
});
test("where nothing is known, nothing is said", () => {
  for (const word of ["nosuch", "/nosuch", "rubi", ""]) expect(hint(word), word).toBeNull();
});
test("a library's caller is told nothing of the host's files", () => {
  for (const word of ["a.py", "/home/u/a.py", "./b.py"]) expect(hint(word, { hostScripts: false }), word).toBeNull();
});
