// Kind of fault: the kernel's "no such file" is about a loader or an interpreter, and the program is blamed.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljarRun } from "../helpers/belljar.ts";
import { fixtureProgram } from "../helpers/compile.ts";
import { tempDir } from "../helpers/places.ts";

/** A folder with these programs in /bin, and nothing else. */
function rootfs(programs: Readonly<Record<string, string | { readonly content: string | Buffer; readonly mode?: number }>>): string {
  const dir = tempDir("rootfs");
  mkdirSync(join(dir, "bin"));
  for (const [name, program] of Object.entries(programs)) {
    const path = join(dir, "bin", name);
    if (typeof program === "string") copyFileSync(program, path);
    else writeFileSync(path, program.content);
    chmodSync(path, typeof program === "string" ? 0o755 : (program.mode ?? 0o755));
  }
  return dir;
}

const startFailed = (message: RegExp) => ({
  verdict: "start-failed",
  exitCode: null,
  signal: null,
  error: { message: expect.stringMatching(message) },
});

needs("userns")("a dynamic program on a root without its loader: the loader is named", async () => {
  const dynamic = fixtureProgram("behave", { flags: [] });
  const dir = rootfs({ dynamic });
  const result = await belljarRun(["--rootfs", dir, "--", "/bin/dynamic", "exit", "0"]);
  expect(result.report).toMatchObject(startFailed(/loader '\/lib.*\/ld-.*' .*does not exist/));
  expect(result.code).toBe(126);
  // The same program where the loader is: it starts.
  expect((await belljarRun(["--rootfs", rootfs({ static: fixtureProgram("behave") }), "--", "/bin/static", "exit", "0"])).code).toBe(0);
});

needs("userns")("a script whose interpreter is missing, and one whose interpreter has a missing loader", async () => {
  const dir = rootfs({
    script: { content: "#!/bin/nosuch -x\n" },
    nested: { content: "#!/bin/dynamic\n" },
    dynamic: fixtureProgram("behave", { flags: [] }),
  });
  expect((await belljarRun(["--rootfs", dir, "--", "/bin/script"])).report).toMatchObject(startFailed(/interpreter '\/bin\/nosuch'/));
  expect((await belljarRun(["--rootfs", dir, "--", "/bin/nested"])).report).toMatchObject(startFailed(/ld-|interpreter/));
});

needs("userns")("CRLF, no #!, an empty file, a directory, no permission: each is said", async () => {
  const dir = rootfs({
    crlf: { content: "#!/bin/sh\r\necho\r\n" },
    text: { content: "echo hello\n" },
    empty: { content: "" },
    locked: { content: "#!/bin/sh\n", mode: 0o644 },
  });
  mkdirSync(join(dir, "bin/dir"));
  const reportOf = async (path: string) => (await belljarRun(["--rootfs", dir, "--", path])).report;
  expect(await reportOf("/bin/crlf")).toMatchObject(startFailed(/CRLF/));
  expect(await reportOf("/bin/text")).toMatchObject(startFailed(/"#!"/));
  expect(await reportOf("/bin/empty")).toMatchObject(startFailed(/"#!"/));
  expect(await reportOf("/bin/locked")).toMatchObject(startFailed(/not executable/));
  expect(await reportOf("/bin/dir")).toMatchObject(startFailed(/directory/));
});

needs("userns")("a program for another processor is told from garbage", async () => {
  const foreign = readFileSync(fixtureProgram("behave"));
  foreign.writeUInt16LE(process.arch === "x64" ? 0xb7 : 0x3e, 18); // e_machine: AArch64 or x86-64
  const dir = rootfs({ foreign: { content: foreign } });
  expect((await belljarRun(["--rootfs", dir, "--", "/bin/foreign"])).report).toMatchObject(startFailed(/another kind of processor/));
});

needs("userns")("PATH is the sandbox's: a command on the caller's own PATH is not found", async () => {
  const dir = rootfs({ only_here: { content: "#!/bin/sh\necho found\n" } });
  const missing = await belljarRun(["--", "only_here"], { env: { PATH: `${dir}/bin:/usr/bin:/bin` } });
  expect(missing.code).toBe(127);
  expect(missing.report).toMatchObject(startFailed(/not found/));
  const given = await belljarRun(["-v", `${dir}/bin:/opt/tools`, "-e", "PATH=/opt/tools:/usr/bin:/bin", "--", "only_here"]);
  expect(given.stdout).toBe("found\n");
});

needs("userns")("the links of the root directory are there: /bin, /lib and, where the host has them, others", async () => {
  const result = await belljarRun(["--", "/bin/sh", "-c", "test -e /lib && /usr/bin/env echo ok"]);
  expect(result.stdout).toBe("ok\n");
});
