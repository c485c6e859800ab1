/** The filters of a run: compiled, kept, found again, and refused by name. */
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readCached, writeCached } from "../../../cli/run/filter-cache.ts";
import { filtersFor } from "../../../cli/run/filters.ts";
import { loadBuiltin } from "../../../policy/profile/builtin.ts";
import { resolveProfile } from "../../../policy/profile/resolve.ts";
import type { ResolvedPolicy } from "../../../policy/profile/types.ts";
import { maxInstructions } from "../../../policy/seccomp/compile.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "belljar-filters-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function policyOf(profile: string, rules = 0): ResolvedPolicy {
  const load = (name: string) => {
    const found = loadBuiltin(name);
    if (found === null) throw new Error(name);
    return found;
  };
  const { policy } = resolveProfile(profile, { load, overrides: [] });
  const syscalls = Array.from({ length: rules }, (_, value) => ({
    names: ["mremap"],
    action: "errno:EPERM" as const,
    args: [{ index: 1 as const, op: "eq" as const, value: 7 * value }],
    comment: null,
    origin: `rule ${value}`,
  }));
  return { ...policy, seccomp: { ...policy.seccomp, syscalls: [...policy.seccomp.syscalls, ...syscalls] } };
}

const options = (more = {}) => ({ arch: "x86_64" as const, folder, build: "this build", ...more });

describe.each(["default", "judge", "strict", "unlimited"])("the filters of %s", (name) => {
  test("are the same when they come from the cache", async () => {
    const policy = policyOf(name);
    const compiled = await filtersFor(policy, options());
    expect(compiled.key).not.toBeNull();
    expect(compiled.audit === null).toBe(!policy.seccomp.audit);
    expect(readdirSync(folder)).toEqual([compiled.key]);
    // What is there is used: it cannot be written any more.
    chmodSync(folder, 0o500);
    expect(await filtersFor(policy, options())).toEqual(compiled);
    expect(await filtersFor(policy, options({ knownKey: compiled.key }))).toEqual(compiled);
    chmodSync(folder, 0o700);
  });
});

test("warnings are kept, and said again", async () => {
  const policy = policyOf("default", 2);
  const twice = { ...policy, seccomp: { ...policy.seccomp, syscalls: policy.seccomp.syscalls.concat(policy.seccomp.syscalls) } };
  const compiled = await filtersFor(twice, options());
  expect(compiled.warnings).toEqual([0, 1].map((rule) => `rule ${rule}: never applies to mremap: rule ${rule} says the same first`));
  expect(readdirSync(folder)).toEqual([compiled.key]);
  expect(await filtersFor(twice, options())).toEqual(compiled);
});

test("what is wrong in a file in Docker's format is said of that file", async () => {
  const policy = policyOf("judge");
  const file = { path: "/d.json", text: '{"defaultAction":"SCMP_ACT_X"}' };
  await expect(filtersFor({ ...policy, seccomp: { ...policy.seccomp, file } }, options())).rejects.toMatchObject({
    code: "profile-invalid",
    message: expect.stringMatching(/^profile '\/d\.json': defaultAction: must be one of /),
  });
});

test("another build, another architecture and another use have keys of their own", async () => {
  const policy = policyOf("default");
  const unaudited = { ...policy, seccomp: { ...policy.seccomp, audit: false } };
  const keys = [
    (await filtersFor(policy, options())).key,
    (await filtersFor(policy, options({ build: "another build" }))).key,
    (await filtersFor(policy, options({ arch: "aarch64" }))).key,
    (await filtersFor(unaudited, options())).key,
  ];
  expect(new Set(keys).size).toBe(4);
  expect(readdirSync(folder).sort()).toEqual([...keys].sort());
});

test("run from its sources, belljar keeps nothing", async () => {
  const { key } = await filtersFor(policyOf("default"), options({ build: null }));
  expect(key).toBeNull();
  expect(readdirSync(folder)).toEqual([]);
});

test.each([
  ["nothing that was packed", Buffer.from("no filter at all")],
  ["a length beyond the end", Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3])],
  ["one part only", Buffer.from([3, 0, 0, 0, 1, 2, 3])],
])("%s is compiled anew, whatever its digest", async (_what, bytes) => {
  const policy = policyOf("default");
  const compiled = await filtersFor(policy, options());
  writeCached(folder, compiled.key ?? "", bytes);
  expect(readCached(folder, compiled.key ?? "")).toEqual(new Uint8Array(bytes));
  expect(await filtersFor(policy, options())).toEqual(compiled);
  expect(readCached(folder, compiled.key ?? "")?.length).toBeGreaterThan(1000);
});

test("a filter beyond the kernel's limit is refused, by the profile's name and with what to do", async () => {
  await expect(filtersFor(policyOf("judge", 900), options())).rejects.toMatchObject({
    code: "profile-invalid",
    message: expect.stringMatching(
      new RegExp(`^profile 'judge': seccomp: the filter has \\d{4} instructions, the kernel takes at most ${maxInstructions}$`),
    ),
    hint: expect.stringContaining("fewer rules"),
  });
  expect(readdirSync(folder)).toEqual([]);
});

test("just below the limit it is compiled, and said when only its audit would be beyond", async () => {
  const sizes: number[] = [];
  let tooLarge: string | undefined;
  for (let rules = 500; rules < 900 && tooLarge === undefined; rules += 20) {
    const { profile, audit, warnings } = await filtersFor(policyOf("default", rules), options());
    sizes.push(profile.length / 8);
    if (audit === null) tooLarge = warnings.join();
  }
  expect(Math.max(...sizes)).toBeLessThanOrEqual(maxInstructions);
  expect(tooLarge).toBe("seccomp.audit: the filter is too large for it: denied calls are not counted");
});
