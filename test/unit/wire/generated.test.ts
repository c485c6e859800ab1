import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const check = (folder: string) => {
  const { status, stderr } = spawnSync(process.execPath, [join(folder, "policy/wire/generate.mjs"), "--check"], { encoding: "utf8" });
  return { status, stderr };
};

test("what is generated from the tables of wire and verdicts is fresh", () => {
  expect(check(root)).toEqual({ status: 0, stderr: "" });
});

test("the check notices what is stale", () => {
  const copy = mkdtempSync(join(tmpdir(), "belljar-wire-"));
  try {
    for (const file of ["policy/wire/generate.mjs", "policy/wire/plan.def.json", "policy/verdict/verdicts.def.json"]) {
      mkdirSync(join(copy, file, ".."), { recursive: true });
      cpSync(join(root, file), join(copy, file));
    }
    const { status, stderr } = check(copy);
    expect(status).toBe(1);
    expect(stderr).toContain("stale: policy/wire/wire.gen.ts");
    expect(stderr).toContain("stale: native/launcher/gen/wire.gen.h");
  } finally {
    rmSync(copy, { recursive: true });
  }
});
