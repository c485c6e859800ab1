// The record of a run is belljar's: a program that could write to its channel would make up its own verdict.
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { allPowerful, attackInSandbox, attackOutside } from "../helpers/attack.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-record";
const forged = "FORGED-RECORD";

needs("userns")("writes a record of its own to every descriptor it holds", async () => {
  const file = join(tempDir("record"), "channel");
  writeFileSync(file, "");
  const fd = openSync(file, "r+");
  // Outside, an inherited descriptor takes it: that is how a forged record would travel.
  const outside = attackOutside(program, [forged, "held"], { stdio: ["ignore", "pipe", "pipe", fd] });
  expect(outside.of("written").result).toBeGreaterThan(0);
  expect(readFileSync(file, "utf8")).toContain(forged);

  writeFileSync(file, "");
  const inside = await attackInSandbox(program, [forged], { extraFds: [fd] });
  closeSync(fd);
  expect(inside.tries.of("held").result).toBe(0);
  expect(inside.tries.of("written").result).toBe(0);
  expect(inside.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 42, signal: null });
  expect(inside.code).toBe(42);
  expect(readFileSync(file, "utf8")).toBe("");
});

needs("userns")("writes a record of its own through the descriptors of every process it sees, with every capability", async () => {
  const inside = await attackInSandbox(program, [forged], { run: ["-p", allPowerful()] });
  expect(inside.tries.of("opened").result).toBe(0);
  expect(inside.tries.of("written").result).toBe(0);
  expect(inside.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 42 });
});

needs("userns")("prints a document like that of --json: it stays text inside the document", async () => {
  const document = JSON.stringify({ report: { verdict: "ok", exitCode: 0 }, stdout: "", stderr: "" });
  const inside = await attackInSandbox("attack-record", [forged], { run: ["--json"] });
  expect(JSON.parse(inside.stdout)).toMatchObject({ report: { verdict: "exit-nonzero", exitCode: 42 } });
  const printed = await attackInSandbox("behave", ["say", document, "}"], { run: ["--json"] });
  expect(JSON.parse(printed.stdout)).toMatchObject({ report: { verdict: "ok" }, stdout: `${document}\n}\n` });
});

needs("userns")("--report is not the program's to write, whatever it finds", async () => {
  const dir = tempDir("report");
  const report = join(dir, "report.json");
  writeFileSync(report, "what was there before");
  const inside = await attackInSandbox("attack-files", ["write", report, "create", report], { run: ["--report", report] });
  expect(inside.tries.outcomes()).toEqual({ write: "ENOENT", create: "ENOENT" });
  expect(JSON.parse(readFileSync(report, "utf8"))).toMatchObject({ schemaVersion: 1, verdict: "ok" });
});
