import { PassThrough, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { checkCommand, checkOptions, checkRoot } from "../../../cli/library/check.ts";
import { caught } from "../cli/caught.ts";

describe("options of the library", () => {
  const refused = (options: unknown) =>
    caught(() => {
      const { command = [], script, image, rootfs } = checkOptions("run()", options);
      checkRoot({ ...(image === undefined ? {} : { image }), ...(rootfs === undefined ? {} : { rootfs }) });
      checkCommand(command, { optional: script !== undefined || image !== undefined });
    });
  test("what is right passes", () => {
    expect(
      refused({
        command: ["a"],
        stdin: new Uint8Array(),
        limits: { memory: null },
        files: { a: "\ud83d\ude00", b: { content: "" } },
        profile: undefined,
      }),
    ).toBeUndefined();
    expect(refused({ script: "x.py" })).toBeUndefined();
  });
  test.each<[unknown, string]>([
    [undefined, "one object"],
    [["true"], "one object"],
    [{}, "nothing to run"],
    [{ command: [] }, "nothing to run"],
    [{ command: "true" }, "array of strings"],
    [{ command: ["a\0b"] }, "without NUL"],
    [{ command: ["a"], stdni: "" }, "'stdni': unknown option"],
    [{ command: ["a"], stdin: 5 }, "a string, bytes, a Readable"],
    [{ command: ["a"], stdin: ["a"] }, "a string, bytes, a Readable"],
    [{ command: ["a"], onStdout: "out.txt" }, "a function that takes bytes, or a Writable"],
    [{ command: ["a"], onStderr: null }, "a function that takes bytes, or a Writable"],
    [{ command: ["a"], cwd: "" }, "'cwd': must be a non-empty string"],
    [{ command: ["a"], concurrency: 1 }, "'concurrency': unknown option of run()"],
    [{ command: ["a"], limits: { mem: 1 } }, "'mem' is no limit"],
    [{ command: ["a"], files: { a: 5 } }, "must map paths"],
    [{ command: ["a"], env: { "A=B": "1" } }, "'A=B'"],
    [{ command: ["a"], env: { A: 1 } }, "'A'"],
    [{ command: ["a"], volumes: [{ source: "/a" }] }, "'volumes'"],
    [{ command: ["a"], network: "bridge" }, "none, host"],
    [{ command: ["a"], outputMaxBytes: -1 }, "positive whole number"],
    [{ command: ["a"], signal: {} }, "AbortSignal"],
    [{ command: ["a", "\ud800"] }, "'command[1]': holds half a surrogate pair"],
    [{ command: ["a"], stdin: "\udc00" }, "'stdin': holds half a surrogate pair"],
    [{ command: ["a"], env: { A: "\ud800" } }, "'env.A': holds"],
    [{ command: ["a"], files: { "\ud800": "" } }, "holds half"],
    [{ command: ["a"], set: { "process.env.A": "\ud800" } }, "holds half"],
    [{ command: ["a"], encoding: "latin1" }, "utf8, buffer"],
  ])("refused: %j", (options, text) => {
    expect(refused(options)).toMatchObject({ code: "usage", message: expect.stringContaining(text) });
  });
  test("an image has a command of its own, and is no second root", () => {
    expect(refused({ image: "debian", pull: "never", entrypoint: [] })).toBeUndefined();
    expect(refused({ image: "debian", rootfs: "host" })).toMatchObject({
      code: "usage",
      message: expect.stringContaining("'image' and 'rootfs'"),
    });
    expect(refused({ command: ["a"], pull: "often" })).toMatchObject({ code: "usage" });
  });
  test("sources, functions and streams are no data", () => {
    async function* lines() {
      yield "\ud800";
    }
    for (const stdin of [lines(), new PassThrough(), "text", new Uint8Array(1)]) expect(refused({ command: ["a"], stdin })).toBeUndefined();
    const writable = Object.assign(new Writable(), { note: "\ud800" });
    expect(refused({ command: ["a"], onStdout: () => undefined, onStderr: writable })).toBeUndefined();
  });
  test.each<[Parameters<typeof checkOptions>[0], unknown, string | null]>([
    ["Sandbox.open()", { concurrency: 4, queueLimit: 0, profile: "judge" }, null],
    ["Sandbox.open()", { concurrency: Number.POSITIVE_INFINITY, queueLimit: Number.POSITIVE_INFINITY }, null],
    ["Sandbox.open()", { warm: 4 }, null],
    ["Sandbox.open()", { warm: 1025 }, "'warm': must be a whole number from 0 to 1024"],
    ["Sandbox.open()", { concurrency: 0 }, "'concurrency': must be a whole number from 1 on, or Infinity"],
    ["Sandbox.open()", { concurrency: 1.5 }, "'concurrency'"],
    ["Sandbox.open()", { queueLimit: -1 }, "'queueLimit': must be a whole number from 0 on"],
    ["Sandbox.open()", { command: ["a"] }, "'command': unknown option of Sandbox.open()"],
    ["sandbox.run()", { profile: "judge" }, "'profile': unknown option of sandbox.run()"],
    ["sandbox.run()", { cwd: "/tmp", limits: { wallTime: "1s" } }, null],
    ["sandbox.interact()", { encoding: "buffer" }, null],
    ["sandbox.interact()", { stdin: "" }, "'stdin': unknown option of sandbox.interact()"],
    ["a program of sandbox.interact()", { command: ["a"], stdin: "" }, "'stdin': unknown option"],
    ["a program of sandbox.interact()", ["a"], "takes one object"],
    ["sandbox.close()", { cancel: true }, null],
    ["sandbox.close()", { cancel: "yes" }, "'cancel': must be true or false"],
  ])("of %s: %j", (form, options, text) => {
    const error = caught(() => checkOptions(form, options));
    if (text === null) expect(error).toBeUndefined();
    else expect(error).toMatchObject({ code: "usage", message: expect.stringContaining(text) });
  });
  test("a command is checked wherever it stands", () => {
    expect(checkCommand([], { optional: true })).toEqual([]);
    for (const command of ["true", undefined, [""], [], ["a\0"], ["\ud800"]])
      expect(
        caught(() => checkCommand(command, { optional: false })),
        String(command),
      ).toMatchObject({ code: "usage" });
  });
});
