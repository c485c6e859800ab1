import { describe, expect, test } from "vitest";
import { compile, errorOf, policy } from "./fixtures.ts";

describe("environment", () => {
  const env = (changes: Parameters<typeof compile>[0]) => compile(changes).plan.exec.env;
  const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  test("from nothing", () => {
    expect(env({})).toEqual([defaultPath, "HOME=/work", "LANG=C.UTF-8"]);
    expect(env({ request: { terminal: true } })).toEqual([defaultPath, "HOME=/work", "TERM=xterm", "LANG=C.UTF-8"]);
  });
  test("profile, then inherited, then options; only what the profile lets through", () => {
    const process = { ...policy.process, env: { A: "profile", B: "profile", HOME: "/h" }, inheritEnv: ["B", "C", "D"] };
    const request = { inherited: { B: "caller", C: "caller", SECRET: "x" }, env: [["C", "option"] as const, ["A", ""] as const] };
    expect(env({ policy: { process }, request })).toEqual([defaultPath, "HOME=/h", "A=", "B=caller", "C=option"]);
  });
  test("values keep their equal signs, names of object prototypes are names like any other", () => {
    expect(
      env({
        request: {
          env: [
            ["A", "B=C"],
            ["toString", "1"],
          ],
        },
      }).slice(-2),
    ).toEqual(["A=B=C", "toString=1"]);
    expect(env({ policy: { process: { ...policy.process, env: {}, inheritEnv: ["constructor"] } } })).toEqual([defaultPath, "HOME=/work"]);
  });
  test.each([
    ["", "x"],
    ["A=B", "x"],
    ["A\0", "x"],
    ["A", "x\0"],
  ])("name %j with value %j is refused", (name, value) => {
    const error = errorOf(() => env({ request: { env: [[name, value]] } }));
    expect(error.code).toBe("usage");
    expect(error.message).toContain("environment variable");
  });
});

describe("size of arguments and environment", () => {
  const refused = (changes: Parameters<typeof compile>[0]) => {
    const error = errorOf(() => compile(changes));
    expect(error.code).toBe("usage");
    return error.message;
  };
  test("3 MiB in all are refused before anything starts", () => {
    const command = ["x", ...new Array<string>(31).fill("y".repeat(100_000))];
    expect(refused({ request: { command } })).toContain("more than the 2 MiB that a program can be given (E2BIG)");
    expect(compile({ request: { command: command.slice(0, 20) } }).plan.exec.argv).toHaveLength(20);
  });
  test("a small stack allows less, but never less than 128 KiB", () => {
    const command = ["x", ...new Array<string>(3).fill("y".repeat(100_000))];
    expect(refused({ request: { command }, limits: { stack: 1_048_576 } })).toContain("more than the 256 KiB");
    expect(refused({ request: { command }, limits: { stack: 1 } })).toContain("more than the 128 KiB");
    expect(compile({ request: { command }, limits: { stack: null } }).plan.exec.argv).toEqual(command);
  });
  test("one text of 32 pages is refused, one byte less is not", () => {
    expect(refused({ request: { command: ["x", "y".repeat(131_072)] } })).toContain("more than the 128 KiB that Linux takes for one");
    expect(compile({ request: { command: ["x", "y".repeat(131_071)] } }).plan.exec.argv[1]).toHaveLength(131_071);
    expect(refused({ request: { env: [["LONG", "y".repeat(131_072)]] } })).toContain("'LONG'");
  });
  test.each([[[]], [[""]]])("the command %j is none", (command) => {
    expect(refused({ request: { command } })).toContain("no command to run");
  });
  test("NUL in an argument", () => {
    expect(refused({ request: { command: ["x", "a\0b"] } })).toContain("argument 'a\\0b'");
  });
});

describe("the rest of the process", () => {
  test("working directory: the option's, else the profile's, in its plain spelling", () => {
    expect(compile().plan.exec.cwd).toBe("/work");
    expect(compile({ request: { cwd: "/tmp//x/./" } }).plan.exec.cwd).toBe("/tmp/x");
    expect(compile({ request: { cwd: "/" } }).plan.exec.cwd).toBe("/");
    expect(errorOf(() => compile({ request: { cwd: "x" } })).code).toBe("usage");
    expect(errorOf(() => compile({ request: { cwd: "/a/../b" } })).code).toBe("usage");
  });
  test("capabilities are bits, and the ceiling is the same", () => {
    const { sandbox, exec } = compile({ policy: { capabilities: ["CAP_CHOWN", "CAP_NET_RAW", "CAP_CHECKPOINT_RESTORE"] } }).plan;
    expect(exec.capabilities).toBe(1n | (1n << 13n) | (1n << 40n));
    expect(sandbox.boundingSet).toBe(exec.capabilities);
    expect(compile().plan.sandbox.boundingSet).toBe(0n);
    const error = errorOf(() => compile({ policy: { capabilities: ["CAP_TOSTRING"] } }));
    expect([error.code, error.message.includes("CAP_TOSTRING")]).toEqual(["profile-invalid", true]);
  });
  test("streams", () => {
    const streams = (request: object) => {
      const { stdin, stdout, stderr } = compile({ request }).plan.exec;
      return [stdin, stdout, stderr];
    };
    expect(streams({})).toEqual(["pump", "pump", "pump"]);
    expect(streams({ stdin: "null" })).toEqual(["null", "pump", "pump"]);
    expect(streams({ terminal: true, stdin: "null" })).toEqual(["terminal", "terminal", "terminal"]);
  });
  test("files out, filters, umask", () => {
    const { exec, sandbox } = compile({ request: { filesOut: [{ source: "a.out", hostPath: "/h/a.out", maxBytes: 10 }] } }).plan;
    expect(exec.filesOut).toEqual([{ source: "a.out", hostPath: "/h/a.out", maxBytes: 10n }]);
    expect([sandbox.baseFilter.length, exec.filter.length, exec.umask]).toEqual([16, 24, 0o22]);
    const filesIn = Array.from({ length: 257 }, (_, i) => ({ hostPath: "/x", target: `f${i}`, mode: 0o644 }));
    expect(errorOf(() => compile({ request: { filesIn } })).message).toContain("257 files to copy in");
  });
});
