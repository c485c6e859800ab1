import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resolveCommand } from "../../../cli/run/command.ts";
import { checkFilesIn } from "../../../cli/run/files.ts";
import { scriptKind } from "../../../cli/run/script.ts";
import { caught } from "./caught.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const kind = (name: string, head: string) => scriptKind(name, bytes(head));

describe("how a file is run", () => {
  test.each([
    ["#!/usr/bin/env python3\n", ["python3"]],
    ["#!/usr/bin/env python3 -u\n", ["/usr/bin/env", "python3 -u"]],
    ["#! /bin/sh  -e  \necho", ["/bin/sh", "-e"]],
    ["#!/usr/bin/env -S node --no-warnings\n", ["/usr/bin/env", "-S node --no-warnings"]],
    ["#!/bin/sh", ["/bin/sh"]],
  ])("by its #! line, as the kernel reads it: %j", (head, interpreter) => {
    expect(kind("x.rb", head)).toEqual({ interpreter, from: "shebang" });
  });
  test("as the program that it is", () => {
    expect(kind("x.py", "\u007fELF\u0002")).toEqual({ interpreter: [], from: "format" });
  });
  test.each([
    ["a.py", "python3"],
    ["a.JS", "node"],
    ["a.mjs", "node"],
    ["a.sh", "sh"],
    ["a.rb", "ruby"],
    ["a.pl", "perl"],
    ["a.lua", "lua"],
  ])("by its ending: %s", (name, interpreter) => {
    expect(kind(name, "x")).toEqual({ interpreter: [interpreter], from: "extension" });
  });
  test("CRLF in the #! line is named", () => {
    const error = caught(() => kind("./x.py", "#!/usr/bin/env python3\r\nprint(1)\r\n"));
    expect(error).toMatchObject({ code: "start-failed", message: expect.stringContaining("CRLF"), hint: "sed -i 's/\\r$//' ./x.py" });
  });
  test.each([
    ["x", "", "it is empty"],
    ["x.txt", "hello", "has no #! line"],
    ["x.py", "#!\n", "names no interpreter"],
    ["x.py", `#!/${"a".repeat(254)}`, "longer than the 256 bytes"],
  ])("no way to tell: %s", (name, head, reason) => {
    expect(caught(() => kind(name, head))).toMatchObject({ code: "start-failed", message: expect.stringContaining(reason) });
  });
});

describe("what a command is", () => {
  let folder = "";
  let before = "";
  beforeAll(() => {
    before = process.cwd();
    folder = mkdtempSync(join(tmpdir(), "belljar-script-"));
    process.chdir(folder);
    mkdirSync("sub");
    writeFileSync("x.py", "print(1)");
    writeFileSync("sub/a.out", "\u007fELF");
    writeFileSync("a.out", "\u007fELF");
    execFileSync("mkfifo", ["fifo"]);
  });
  afterAll(() => {
    process.chdir(before);
    rmSync(folder, { recursive: true });
  });
  const resolve = (command: string[], script: string | null = null, copied: string[] = []) =>
    resolveCommand({ command, script, hostScripts: true }, checkFilesIn(copied.map((hostPath) => ({ hostPath, target: null }))));

  test("a relative path with a slash that names a host file is a script", () => {
    expect(resolve(["./x.py", "a", "b"])).toEqual({
      argv: ["python3", "/work/x.py", "a", "b"],
      script: { hostPath: join(folder, "x.py"), name: "x.py" },
      isHostScript: true,
    });
  });
  test("--script takes the whole command as arguments", () => {
    expect(resolve(["a"], "x.py")).toEqual({
      argv: ["python3", "/work/x.py", "a"],
      script: { hostPath: join(folder, "x.py"), name: "x.py" },
      isHostScript: true,
    });
  });
  test.each([["x.py"], ["/usr/bin/env"], ["./absent"], ["x.py/y"]])(
    "a path in the sandbox or a word for PATH stays as it is: %s",
    (word) => {
      expect(resolve([word])).toEqual({ argv: [word], script: null, isHostScript: false });
    },
  );
  test("no host file is looked up for a library", () => {
    expect(resolveCommand({ command: ["./x.py"], script: null, hostScripts: false }, [])).toEqual({
      argv: ["./x.py"],
      script: null,
      isHostScript: false,
    });
  });
  test("a file that is copied in is run as that copy", () => {
    expect(resolve(["./a.out", "1"], null, ["a.out"])).toEqual({ argv: ["/work/a.out", "1"], script: null, isHostScript: true });
  });
  test("two files for one place are refused", () => {
    const error = caught(() => resolve(["./a.out"], null, ["sub/a.out"]));
    expect(error).toMatchObject({ code: "usage", hint: "write /work/a.out to run the file that is copied in" });
  });
  test("a folder, a fifo and an absent --script are refused", () => {
    expect(caught(() => resolve(["./sub"]))).toMatchObject({ code: "start-failed", message: "starting: './sub': is a directory" });
    expect(caught(() => resolve(["./fifo"]))).toMatchObject({ code: "start-failed", message: "starting: './fifo': is no regular file" });
    expect(caught(() => resolve([], "absent.py"))).toMatchObject({ code: "command-not-found" });
  });
  test.skipIf(process.getuid?.() === 0)("an unreadable script is refused (root reads everything)", () => {
    writeFileSync("secret.py", "");
    chmodSync("secret.py", 0);
    expect(caught(() => resolve(["./secret.py"]))).toMatchObject({
      code: "start-failed",
      message: "starting: './secret.py': permission denied",
    });
  });
});
