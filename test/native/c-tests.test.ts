// The C tests: test/native/*.c, built by the Makefile next to the launcher under test (so, for `make asan`, with the sanitizers).
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../helpers/places.ts";

const launcher = process.env["BELLJAR_LAUNCHER"] ?? join(root, "native/build/belljar-launch");
const programs = join(dirname(launcher), "tests");
const plans = join(root, "test/fixtures/plans");

/** What each C test is given; one that is not listed here is given nothing. */
const argumentsOf: Readonly<Record<string, () => readonly string[]>> = {
  plan_test: () =>
    readdirSync(plans)
      .filter((name) => name.endsWith(".plan") || name.endsWith(".bin"))
      .map((name) => join(plans, name)),
};

const names = readdirSync(join(root, "test/native"))
  .filter((name) => name.endsWith(".c"))
  .map((name) => name.slice(0, -2));

describe("C tests", () => {
  test("are found", () => {
    expect(names).not.toEqual([]);
  });

  for (const name of names) {
    test(name, () => {
      const program = join(programs, name);
      expect(existsSync(program), `${program} is built`).toBe(true);
      const { status, signal, stdout, stderr } = spawnSync(program, argumentsOf[name]?.() ?? [], {
        encoding: "utf8",
        timeout: 120_000,
        killSignal: "SIGKILL",
      });
      expect({ status, signal }, `${stdout.slice(-2000)}${stderr.slice(-4000)}`).toEqual({ status: 0, signal: null });
    });
  }
});
