import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type KnownProfile, resolveOnce } from "../../../cli/run/profile-cache.ts";
import { builtinProfiles } from "../../../policy/profile/index.ts";

let home: string;
const filterKey = "k".repeat(64);

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "belljar-profile-cache-"));
  vi.stubEnv("XDG_CACHE_HOME", join(home, "cache"));
  vi.stubEnv("XDG_CONFIG_HOME", join(home, "config"));
  globalThis.belljarBuild = "one build";
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
  vi.unstubAllEnvs();
  globalThis.belljarBuild = undefined;
});

const slots = (): readonly string[] => readdirSync(join(home, "cache/belljar/profiles"));
const option = (value: unknown, path = "limits.memory") => [{ path, value, origin: "option --memory" }];

async function ask(reference: string, overrides = option("64M")): Promise<KnownProfile> {
  const { profile, keep } = await resolveOnce({ reference, overrides });
  keep(filterKey);
  return profile;
}
/** A profile that comes from the cache has the key of its filters; one that was resolved just now has none. */
const isKnown = async (reference: string, overrides = option("64M")): Promise<boolean> =>
  (await resolveOnce({ reference, overrides })).profile.filterKey === filterKey;

describe("a resolved profile", () => {
  test.each(Object.keys(builtinProfiles))("%s comes back as it was", async (name) => {
    const first = await ask(name);
    expect(first.filterKey).toBeNull();
    expect(await ask(name)).toEqual({ ...first, filterKey });
  });
  test("is another one for other overrides, in any part of them", async () => {
    await ask("judge");
    expect(await isKnown("judge")).toBe(true);
    expect(await isKnown("judge", option("65M"))).toBe(false);
    expect(await isKnown("judge", option("64M", "limits.disk"))).toBe(false);
    expect(await isKnown("judge", [])).toBe(false);
    expect(await isKnown("strict")).toBe(false);
  });
  test("is not believed from another build, and code that is no build keeps nothing", async () => {
    await ask("judge");
    globalThis.belljarBuild = "another build";
    expect(await isKnown("judge")).toBe(false);
    globalThis.belljarBuild = undefined;
    expect(await isKnown("judge")).toBe(false);
    rmSync(join(home, "cache"), { recursive: true });
    await ask("judge");
    expect(readdirSync(home)).toEqual([]);
  });
});

describe("a profile from files", () => {
  const file = () => join(home, "mine.json");
  const base = () => join(home, "base.json");
  const profile = (fields: object) => JSON.stringify({ schemaVersion: 1, ...fields });
  beforeEach(() => {
    writeFileSync(base(), profile({ extends: "judge", limits: { processes: 7 } }));
    writeFileSync(file(), profile({ extends: "./base.json" }));
  });
  test("is known until one of them says something else", async () => {
    expect((await ask(file())).policy.limits.processes).toBe(7);
    expect(await isKnown(file())).toBe(true);
    writeFileSync(base(), profile({ extends: "judge", limits: { processes: 8 } }));
    expect((await ask(file())).policy.limits.processes).toBe(8);
    expect(await isKnown(file())).toBe(true);
  });
  test("that is gone is told of, as without a cache", async () => {
    await ask(file());
    rmSync(base());
    await expect(resolveOnce({ reference: file(), overrides: option("64M") })).rejects.toThrow("base.json");
  });
  test("is looked for anew: a name may lead to another file", async () => {
    writeFileSync(file(), profile({ extends: "judge" }));
    const here = process.cwd();
    try {
      process.chdir(home);
      expect((await ask("./mine.json")).files).toEqual([file()]);
      process.chdir("/");
      await expect(resolveOnce({ reference: "./mine.json", overrides: option("64M") })).rejects.toThrow("mine.json");
    } finally {
      process.chdir(here);
    }
  });
});

describe("the folder", () => {
  const only = () => join(home, "cache/belljar/profiles", slots()[0] ?? "");
  test("holds a bounded number of them", async () => {
    for (let memory = 1; memory <= 300; memory++)
      (await resolveOnce({ reference: "judge", overrides: option(`${memory}M`) })).keep(filterKey);
    expect(slots().length).toBeLessThanOrEqual(64);
    expect(slots().length).toBeGreaterThan(16);
  });
  test.each<[string, () => void]>([
    ["damaged", () => writeFileSync(only(), "{")],
    ["empty", () => writeFileSync(only(), "")],
    ["of another form", () => writeFileSync(only(), '{"key":1}')],
    ["writable by others", () => chmodSync(only(), 0o666)],
  ])("is not believed where a file is %s", async (_what, spoil) => {
    await ask("judge");
    expect(await isKnown("judge")).toBe(true);
    spoil();
    expect(await isKnown("judge")).toBe(false);
  });
  test("that cannot be made is no failure", async () => {
    vi.stubEnv("XDG_CACHE_HOME", "/proc/1/none");
    expect((await ask("judge")).policy.name).toBe("judge");
  });
});
