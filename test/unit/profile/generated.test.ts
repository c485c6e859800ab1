import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { builtinProfiles, parseProfile } from "../../../policy/profile/index.ts";
import { readLimit } from "../../../policy/profile/limits.ts";
import { limitNames } from "../../../policy/profile/types.ts";
import { knownKeys } from "../../../policy/profile/validate.gen.js";
import { readFileMode, readSize } from "../../../policy/units.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const schema = JSON.parse(readFileSync(`${root}/profiles/profile.schema.json`, "utf8"));

test("generated files are fresh", () => {
  expect(execFileSync(process.execPath, ["policy/profile/generate.mjs", "--check"], { cwd: root, encoding: "utf8" })).toBe("");
});

test("the validator needs nothing at run time", () => {
  const code = readFileSync(`${root}/policy/profile/validate.gen.js`, "utf8");
  expect(code).not.toMatch(/\brequire\(|\bimport\b/);
});

test("the schema knows the limits of the types, and every key has words for editors", () => {
  expect(Object.keys(schema.properties.limits.properties)).toEqual([...limitNames, "required"]);
  for (const [key, node] of Object.entries<{ description?: string }>(schema.properties)) expect(node.description ?? "", key).not.toBe("");
});

test("the reference names every field with its default", () => {
  const reference = readFileSync(`${root}/docs/profile.md`, "utf8");
  for (const [place, keys] of Object.entries(knownKeys)) {
    for (const key of keys) {
      const name = place === "" || place.includes("[]") ? key : `${place}.${key}`;
      expect(reference.includes(`\`${name}\``) || knownKeys[name] !== undefined, `${place} ${key}`).toBe(true);
    }
  }
  const { limits } = JSON.parse(builtinProfiles["default"] ?? "") as { limits: Record<string, unknown> };
  for (const name of limitNames) expect(reference).toMatch(new RegExp(`\\| \`limits\\.${name}\` \\| [^|]+ \\| \`${limits[name]}\` \\|`));
});

test("the example of the reference is a profile", () => {
  const [, example = ""] = /```json\n([\s\S]*?)```/.exec(readFileSync(`${root}/docs/profile.md`, "utf8")) ?? [];
  expect(parseProfile(example, "contest.json")).toMatchObject({ name: "contest", extends: "judge" });
});

describe("built-in profiles", () => {
  const onDisk = readdirSync(`${root}/profiles`).filter((name) => name.endsWith(".json") && name !== "profile.schema.json");
  test("are the files of profiles/", () => expect(Object.keys(builtinProfiles).map((name) => `${name}.json`)).toEqual(onDisk.sort()));
  test("are those that the documentation names", () => {
    expect(Object.keys(builtinProfiles).sort()).toEqual(["compile", "default", "image", "judge", "strict", "unlimited"]);
  });
  test.each(Object.entries(builtinProfiles))("%s meets all rules, and the published schema", (name, text) => {
    expect(parseProfile(text, name)).toMatchObject({ schemaVersion: 1, name });
    const ajv = new Ajv({ strict: false, discriminator: true, allErrors: true });
    const valid = ajv.compile(schema)(JSON.parse(text));
    expect(ajv.errors ?? []).toEqual([]);
    expect(valid).toBe(true);
  });
});

/** Patterns are for editors; they must not disagree with what belljar reads. */
describe("patterns of the schema agree with the readers", () => {
  const samples = [
    "64M",
    "64 MiB",
    "64MB",
    "1.5G",
    "500ms",
    "2s",
    "1m",
    "1min",
    "1h",
    "0-3,8",
    "3",
    "1K",
    "10B",
    "x",
    "",
    "-1",
    "1e3",
    "022",
    "0o755",
    "8",
  ];
  test("CPUs may be fractions, counts may not; a fraction of a byte is the reader's to refuse", () => {
    const { cpus, processes } = schema.properties.limits.properties;
    expect([cpus, processes].map(({ pattern }) => new RegExp(pattern).test("0.5"))).toEqual([true, false]);
    expect([readLimit("cpus", "0.5").ok, readLimit("processes", "0.5").ok, readLimit("memory", "0.5").ok]).toEqual([true, false, false]);
  });
  test.each(limitNames)("%s", (name) => {
    const pattern = new RegExp(schema.properties.limits.properties[name].pattern);
    // A minimum is the reader's to refuse: a pattern cannot say it.
    const spelled = (text: string): boolean => {
      const reading = readLimit(name, text);
      return reading.ok || /^must be at least/.test(reading.problem);
    };
    for (const text of samples) expect(pattern.test(text), text).toBe(spelled(text));
  });
  test("sizes and modes of mounts", () => {
    const [, tmpfs] = schema.properties.mounts.items.oneOf;
    for (const text of samples) {
      expect(new RegExp(tmpfs.properties.size.pattern).test(text), text).toBe(readSize(text).ok);
      expect(new RegExp(tmpfs.properties.mode.pattern).test(text), text).toBe(readFileMode(text).ok);
    }
  });
});
