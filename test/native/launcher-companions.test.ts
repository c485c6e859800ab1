import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { LandlockRule } from "../../policy/wire/wire.gen.ts";
import { needs } from "../helpers/abilities.ts";
import { fixtureProgram } from "../helpers/compile.ts";
import { execPlan, launch, sandboxPlan } from "../helpers/launcher.ts";
import { tempDir } from "../helpers/places.ts";

const shell = (script: string) => ["sh", "-c", script];

describe("companions", () => {
  const program = () => fixtureProgram("companion");
  const plan = (file: string, ...more: readonly string[]) =>
    sandboxPlan({
      companions: [
        {
          argv: [program(), file, ...more],
          namespaces: ["user", "mount", "network"],
          ambientCapabilities: 1n << 21n,
          ready: "byte",
          deadlineMs: 5000,
          filter: new Uint8Array(),
          fuse: false,
          landlock: [],
        },
      ],
    });

  test("run in the sandbox's namespaces but outside its pid namespace, and die with it", async () => {
    const file = join(tempDir(), "facts");
    const { verdict, stdout } = await launch(
      plan(file),
      execPlan(shell("readlink /proc/self/ns/user; readlink /proc/self/ns/net; ls /proc | grep -c '^[0-9]'")),
    );
    const facts = JSON.parse(readFileSync(file, "utf8")) as Record<string, string | number>;
    const [user, net, visible] = stdout.split("\n");
    expect(verdict).toBe("ok");
    expect([facts["user"], facts["net"]]).toEqual([user, net]);
    expect(facts["pid"]).toBe(readlinkSync("/proc/self/ns/pid"));
    expect(facts["mnt"]).not.toBe(readlinkSync("/proc/self/ns/mnt"));
    expect(facts["no_new_privs"]).toBe(1);
    expect(facts["extra_descriptors"]).toBe(0);
    expect(Number(visible)).toBeLessThanOrEqual(4); // init, the shell, ls, grep
    expect(existsSync(`/proc/${facts["pid_number"]}`)).toBe(false);
  });

  // What a helper that a stranger's layers or requests took over would try: the caller's files, and what is not its own to write.
  const helper = (landlock: LandlockRule[], tries: string) =>
    sandboxPlan({
      companions: [
        {
          argv: ["/usr/bin/python3", "-I", "-S", "-c", `import os, signal\n${tries}\nos.write(3, b"x")\nsignal.pause()`],
          namespaces: ["user", "mount"],
          ambientCapabilities: 1n << 1n, // CAP_DAC_OVERRIDE
          ready: "byte",
          deadlineMs: 10_000,
          filter: new Uint8Array(),
          fuse: false,
          landlock,
        },
      ],
    });
  for (const confined of [false, true]) {
    needs("landlock", "python3")(
      `a helper that is taken over reaches ${confined ? "its own paths only" : "everything, where it is not confined"}`,
      async () => {
        const dir = tempDir();
        const [canary, own] = [join(dir, "canary"), join(dir, "own")];
        writeFileSync(canary, "secret");
        mkdirSync(own);
        const attempt = (name: string, code: string) =>
          `try:\n  ${code}\n  r = "done"\nexcept OSError as e:\n  r = os.strerror(e.errno)\nopen(${JSON.stringify(own)} + "/${name}", "w").write(r)`;
        const tries = [
          attempt("read", `open(${JSON.stringify(canary)}).read()`),
          attempt("write", `open(${JSON.stringify(canary)}, "w").write("overwritten")`),
          attempt("make", `os.mkdir(${JSON.stringify(join(dir, "made"))})`),
          attempt("list", `os.listdir(${JSON.stringify(dir)})`),
        ].join("\n");
        const read = 0b1101n;
        const rules = [
          ...["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"].map((path) => ({ path, access: read, optional: true })),
          { path: own, access: (1n << 16n) - 1n, optional: false },
        ];
        const { verdict } = await launch(helper(confined ? rules : [], tries), execPlan(["true"]));
        const came = (name: string) => readFileSync(join(own, name), "utf8");
        expect(verdict).toBe("ok");
        const expected = confined ? "Permission denied" : "done";
        expect([came("read"), came("write"), came("make"), came("list")]).toEqual([expected, expected, expected, expected]);
        expect(readFileSync(canary, "utf8")).toBe(confined ? "secret" : "overwritten");
        expect(existsSync(join(dir, "made"))).toBe(!confined);
      },
    );
  }

  test("one that dies while the program runs is a sandbox-error", async () => {
    const { verdict, record } = await launch(plan(join(tempDir(), "facts"), "die"), execPlan(["sleep", "20"]));
    expect(verdict).toBe("sandbox-error");
    expect(record).toMatchObject({ errorStage: "companion", errorStep: "companionStart", errorText: program() });
  });

  test("one that cannot start is a sandbox-error", async () => {
    const sandbox = sandboxPlan({
      companions: [
        {
          argv: ["/nowhere/helper"],
          namespaces: ["user"],
          ambientCapabilities: 0n,
          ready: "byte",
          deadlineMs: 5000,
          filter: new Uint8Array(),
          fuse: false,
          landlock: [],
        },
      ],
    });
    const { verdict, record } = await launch(sandbox, execPlan(["true"]));
    expect([verdict, record?.errorStage, record?.errorErrno]).toEqual(["sandbox-error", "companion", 2]);
  });

  test("one that is never ready is given up after its deadline", async () => {
    const sandbox = sandboxPlan({
      companions: [
        {
          argv: ["/usr/bin/sleep", "30"],
          namespaces: ["user"],
          ambientCapabilities: 0n,
          ready: "byte",
          deadlineMs: 200,
          filter: new Uint8Array(),
          fuse: false,
          landlock: [],
        },
      ],
    });
    const { verdict, record } = await launch(sandbox, execPlan(["true"]));
    expect([verdict, record?.errorErrno, record?.errorText]).toEqual(["sandbox-error", 110, "set-up"]);
  });

  test("each has its own time: one that is ready soon takes none of another's", async () => {
    const helper = (before: string, deadlineMs: number) => ({
      argv: ["/bin/sh", "-c", `${before}printf x >&3; exec sleep 100`],
      namespaces: ["user" as const],
      ambientCapabilities: 0n,
      ready: "byte" as const,
      deadlineMs,
      filter: new Uint8Array(),
      fuse: false,
      landlock: [],
    });
    const soon = helper("", 2000);
    const late = helper("sleep 2.5; ", 30_000);
    const { verdict } = await launch(sandboxPlan({ companions: [soon, late] }), execPlan(["true"]));
    expect(verdict).toBe("ok");
  });
});
