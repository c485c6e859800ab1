import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { LaunchPlan } from "../../../policy/compile/types.ts";
import { builtinProfiles } from "../../../policy/profile/index.ts";
import { decodePart, dumpPlan, encodeExec, encodeReport, encodeSandbox } from "../../../policy/wire/index.ts";
import type { ReportPlan } from "../../../policy/wire/wire.gen.ts";
import { cgroup2, compile } from "../compile/fixtures.ts";
import { sampleReport } from "../verdict/sample-report.ts";
import { fullExec, fullSandbox, minimalExec, minimalSandbox } from "./samples.ts";

/**
 * Plans as bytes, shared with the tests of the launcher's checker and its fuzzer: both sides must agree on every one.
 * BELLJAR_UPDATE_GOLDEN=1 writes them anew, after a deliberate change of the format.
 */
const folder = fileURLToPath(new URL("../../fixtures/plans/", import.meta.url));
const plans: Readonly<Record<string, LaunchPlan>> = {
  minimal: { sandbox: minimalSandbox, exec: minimalExec },
  typical: compile({
    facts: { cgroup: cgroup2 },
    request: {
      script: { hostPath: "/home/alice/x.py", name: "x.py" },
      command: ["python3", "/work/x.py", "ü"],
      filesOut: [{ source: "a.out", hostPath: "/home/alice/a.out", maxBytes: 1_048_576 }],
    },
  }).plan,
  full: { sandbox: fullSandbox, exec: fullExec },
};

function golden(name: string, made: Uint8Array): Uint8Array {
  const path = `${folder}${name}`;
  if (process.env["BELLJAR_UPDATE_GOLDEN"] === "1") writeFileSync(path, made);
  return existsSync(path) ? new Uint8Array(readFileSync(path)) : new Uint8Array();
}

describe.each(Object.entries(plans))("%s", (name, plan) => {
  const parts = { sandbox: encodeSandbox(plan.sandbox), exec: encodeExec(plan.exec) };
  test.each(["sandbox", "exec"] as const)("the %s part has the bytes of the file", (kind) => {
    expect(golden(`${name}.${kind}.bin`, parts[kind])).toEqual(parts[kind]);
  });
  test.each(["sandbox", "exec"] as const)("the %s part of the file decodes to the plan", (kind) => {
    expect(decodePart(golden(`${name}.${kind}.bin`, parts[kind]))).toEqual({ kind, plan: plan[kind] });
  });
  test("its dump has the words of the file", () => {
    const made = `${JSON.stringify(dumpPlan(plan), null, 2)}\n`;
    expect(new TextDecoder().decode(golden(`${name}.json`, new TextEncoder().encode(made)))).toBe(made);
  });
});

/** Of a table that no build has, so that it changes with the words and their form only, and not with every table. */
const words: ReportPlan = { ...sampleReport, table: "0123456789abcdef" };

describe("the words of a report", () => {
  test("have the bytes of the file, which decode to them", () => {
    const made = encodeReport(words);
    const file = golden("typical.report.bin", made);
    expect(file).toEqual(made);
    expect(decodePart(file)).toEqual({ kind: "report", plan: words });
  });
});

test("no file is left over from a plan that is gone", () => {
  const expected = Object.keys(plans).flatMap((name) => [`${name}.sandbox.bin`, `${name}.exec.bin`, `${name}.json`]);
  expect(readdirSync(folder).sort()).toEqual([...expected, "typical.report.bin", "profiles"].sort());
  expect(readdirSync(`${folder}profiles`).sort()).toEqual(
    Object.keys(builtinProfiles)
      .map((name) => `${name}.json`)
      .sort(),
  );
});
