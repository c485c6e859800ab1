import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { learntPlace, learntProfile, profileText } from "../../../cli/run/learnt-profile.ts";
import { loadProfile } from "../../../cli/run/profiles.ts";
import { parseProfile, resolveProfile } from "../../../policy/profile/index.ts";
import type { SeccompRuleSpec } from "../../../policy/profile/types.ts";

const dir = mkdtempSync(join(tmpdir(), "learnt-profile-"));
afterAll(() => rmSync(dir, { recursive: true }));

const { policy } = resolveProfile("default", { load: loadProfile });
const rules: readonly SeccompRuleSpec[] = [
  { names: Array.from({ length: 40 }, (_, i) => `call_number_${i}`), action: "allow", comment: 'first called by "x", \\' },
  { names: ["ioctl"], action: "allow", args: [{ index: 1, op: "eq", value: "0x5401" }], comment: "TCGETS: first called by x" },
];
const place = (file: string, profile: string | null, merge = false) => learntPlace(join(dir, file), { profile, merge });

test("is written as people write profiles, and read as what it is", () => {
  const profile = learntProfile(rules, { place: place("a b.json", "judge"), policy, command: ["sh", "-c", "echo \u001b[2J\nü"] });
  const text = profileText(profile);
  expect(JSON.parse(text)).toEqual(profile);
  expect(parseProfile(text, "a b.json")).toEqual(profile);
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
  expect(text).toContain('"args": [{ "index": 1, "op": "eq", "value": "0x5401" }],\n');
  expect(profile).toMatchObject({ name: "a-b", extends: "judge", description: "learnt from: sh -c echo  [2J " });
  expect(text).not.toContain("\u001b");
});

test("names a base that is a file by its place relative to itself", () => {
  const base = join(dir, "base.json");
  writeFileSync(base, '{"schemaVersion": 1, "extends": "default"}');
  expect(place("p.json", base)).toMatchObject({ base: "./base.json", baseReference: base });
  expect(place("sub/p.json", base)).toMatchObject({ base: "../base.json" });
  expect(place("p.json", null)).toMatchObject({ base: "default" });
  expect(() => place("base.json", base)).toThrow("is the profile that it would build on");
});

test("is added to only where it is one", () => {
  writeFileSync(join(dir, "other.json"), '{"schemaVersion": 1, "extends": "default", "limits": {"memory": "1G"}}');
  expect(() => place("other.json", null, true)).toThrow("is no profile that `belljar learn` has written");
  expect(() => place("absent.json", null, true)).toThrow("absent.json");
  const first = learntProfile(rules, { place: place("p.json", "judge"), policy, command: ["x"] });
  writeFileSync(join(dir, "p.json"), profileText({ ...first, limits: { memory: "64M" } }));
  const again = place("p.json", null, true);
  expect(again).toMatchObject({ base: "judge", baseReference: "judge" });
  const more: SeccompRuleSpec = { names: ["mkdir"], action: "allow", comment: "first called by y" };
  expect(learntProfile([more], { place: again, policy, command: ["y"] })).toEqual({
    ...first,
    limits: { memory: "64M" },
    seccomp: { ...first.seccomp, syscalls: [...rules.map((rule) => ({ ...rule, names: rule.names.toSorted() })), more] },
  });
  expect(() => place("p.json", "strict", true)).toThrow("builds on 'judge'");
});
