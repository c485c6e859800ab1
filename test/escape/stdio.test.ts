// The caller's files as stdin, stdout and stderr, reopened through /proc with more rights than the program was given.
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutside } from "../helpers/attack.ts";
import { plantCanary } from "../helpers/canary.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-stdio";
const everything = ["write", "truncate", "read", "direct-ftruncate", "direct-fchmod", "direct-rewind", "hardlink", "nonblock"];

needs("userns")("rewrites the file that is its stdin (<)", async () => {
  const victim = plantCanary();
  const read = openSync(victim.path, "r");
  const outside = attackOutside(program, ["0", "write"], { stdio: [read, "pipe", "pipe"] });
  closeSync(read);
  expect(outside.of("write-0").errno).toBe(0);
  expect(readFileSync(victim.path, "utf8")).toMatch(/^PWNED/);

  const canary = plantCanary();
  const fd = openSync(canary.path, "r");
  const inside = await attackInSandbox(program, ["0", "write", "truncate", "direct-ftruncate", "direct-fchmod"], { stdin: { fd } });
  closeSync(fd);
  expect(inside.tries.of("kind").text).not.toBe("file");
  expect(inside.tries.of("direct-ftruncate").errno).not.toBe(0);
  canary.check();
});

needs("userns")("truncates the file that is its stdin (<)", async () => {
  const victim = plantCanary();
  const read = openSync(victim.path, "r");
  const outside = attackOutside(program, ["0", "truncate"], { stdio: [read, "pipe", "pipe"] });
  closeSync(read);
  expect(outside.of("truncate-0").errno).toBe(0);
  expect(readFileSync(victim.path, "utf8")).toBe("");

  const canary = plantCanary();
  const fd = openSync(canary.path, "r");
  const inside = await attackInSandbox(program, ["0", ...everything], { stdin: { fd } });
  closeSync(fd);
  expect(inside.code).toBe(0);
  canary.check();
});

needs("userns")("reads the part of its stdin that the caller has read already (<)", async () => {
  const secret = "the caller's own line\n";
  const file = join(tempDir("stdin"), "input");
  writeFileSync(file, `${secret}for the program\n`);
  const handOver = (): number => {
    const fd = openSync(file, "r");
    readSync(fd, Buffer.alloc(secret.length));
    return fd;
  };
  const first = handOver();
  const outside = attackOutside(program, ["0", "read"], { stdio: [first, "pipe", "pipe"] });
  closeSync(first);
  expect(outside.of("read-0").text).toContain(secret);

  const second = handOver();
  const inside = await attackInSandbox(program, ["0", "read", "direct-rewind"], { stdin: { fd: second } });
  closeSync(second);
  expect(inside.stdout).not.toContain("caller's own");
  expect(inside.tries.of("direct-rewind").errno).not.toBe(0);
});

needs("userns")("rewrites, truncates and links the file that is given by --stdin", async () => {
  const canary = plantCanary();
  const inside = await attackInSandbox(program, ["0", ...everything], { run: ["--stdin", canary.path] });
  expect(inside.code).toBe(0);
  expect(inside.tries.of("direct-ftruncate").errno).not.toBe(0);
  expect(inside.tries.of("hardlink").errno).not.toBe(0);
  for (const way of [0, 1, 2, 3])
    expect(["OK", "ENXIO", "ESPIPE", "EROFS", "EACCES", "EPERM", "ENOENT"]).toContain(inside.tries.outcomes()[`write-${way}`]);
  canary.check();

  const victim = plantCanary();
  const fd = openSync(victim.path, "r");
  const outside = attackOutside(program, ["0", "hardlink", "direct-fchmod"], { stdio: [fd, "pipe", "pipe"], cwd: victim.dir });
  closeSync(fd);
  expect(outside.outcomes()).toEqual({ kind: "OK", hardlink: "OK", "direct-fchmod": "OK" });
});

for (const [name, fd] of [
  ["stdout", 1],
  ["stderr", 2],
] as const) {
  needs("userns")(`reads back and truncates the file that is its ${name} (--${name})`, async () => {
    const before = "written by the caller before\n";
    const dir = tempDir("out");
    const victim = join(dir, "victim");
    writeFileSync(victim, before);
    const append = openSync(victim, "a");
    const other = fd === 1 ? (["ignore", append, "pipe"] as const) : (["ignore", "pipe", append] as const);
    const outside = attackOutside(program, [String(fd), "read", "truncate"], { stdio: other });
    closeSync(append);
    expect(outside.of("read-0").text).toContain(before);
    expect(readFileSync(victim, "utf8")).not.toContain(before);

    // --stdout FILE belongs to the run, so the file's own bytes are gone; what lies beside it must not change.
    const canary = plantCanary();
    const inside = await attackInSandbox(program, [String(fd), ...everything], { run: [`--${name}`, join(dir, "out")] });
    expect(inside.code).toBe(0);
    expect(inside.tries.of("kind").text).not.toBe("file");
    expect(inside.tries.of("hardlink").errno).not.toBe(0);
    canary.check(inside.stdout, inside.stderr);
  });
}

needs("userns")("reads back what the caller's log had before (>>)", async () => {
  const canary = plantCanary();
  const shell = `exec "$@" >> ${canary.path}`;
  // The control is the one above; here the whole command line is the caller's.
  const inside = await attackInSandbox(program, ["1", "read", "truncate", "write", "direct-rewind"], {
    program: ["sh", "-c", shell, "sh", process.execPath, join(import.meta.dirname, "../../dist/belljar.js")],
  });
  expect(inside.code).toBe(0);
  expect(inside.tries.of("kind").text).not.toBe("file");
  expect(inside.stderr).not.toContain(canary.content);
  expect(readFileSync(canary.path, "utf8").startsWith(canary.content)).toBe(true);
});

needs("userns")("does not leave the caller's terminal or pipe non-blocking", async () => {
  const inside = await attackInSandbox(program, ["0", "nonblock"], { stdin: "x\n" });
  expect(inside.tries.of("nonblock").errno).toBe(0); // its own pipe: nothing of the caller's
  expect(inside.code).toBe(0);
});
