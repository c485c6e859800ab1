import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { loadProfile, userProfileNames } from "../../../cli/run/profiles.ts";
import { parsePasswd, parseUser } from "../../../cli/run/user.ts";
import { builtinProfiles, loadBuiltin, resolveProfile } from "../../../policy/profile/index.ts";
import { caught } from "./caught.ts";

let folder = "";
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "belljar-lookups-"));
  mkdirSync(at("belljar/profiles"), { recursive: true });
  vi.stubEnv("XDG_CONFIG_HOME", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe("profiles", () => {
  test("a name is built in, else the user's; a slash or .json names a file", () => {
    writeFileSync(at("belljar/profiles/mine.json"), "{}");
    writeFileSync(at("belljar/profiles/judge.json"), "{}");
    expect(loadProfile("judge", null)).toEqual(loadBuiltin("judge"));
    expect(loadProfile("mine", null)).toEqual({ file: at("belljar/profiles/mine.json"), text: "{}" });
    expect(loadProfile(at("belljar/profiles/judge.json"), null).text).toBe("{}");
    expect(userProfileNames()).toEqual(["judge", "mine"]);
  });
  test("a relative file is looked up from the file that extends it", () => {
    writeFileSync(at("a.json"), "1");
    expect(loadProfile("./a.json", at("b.json")).file).toBe(at("a.json"));
  });
  test.each([
    ["judg", "profile-not-found", "did you mean 'judge'?"],
    ["zzz", "profile-not-found", expect.stringContaining(Object.keys(builtinProfiles).join(", "))],
    ["..", "profile-not-found", expect.anything()],
    ["__proto__", "profile-not-found", expect.anything()],
    ["./absent.json", "profile-not-found", null],
    ["relative.json", "profile-not-found", null],
  ])("not there: %s", (name, code, hint) => {
    expect(caught(() => loadProfile(name, null))).toMatchObject({ code, hint });
  });
  test("an unknown base names who asks for it", () => {
    writeFileSync(at("belljar/profiles/mine.json"), '{"schemaVersion":1,"extends":"zzz"}');
    expect(caught(() => resolveProfile("mine", { load: loadProfile }))).toMatchObject({
      code: "profile-not-found",
      message: expect.stringContaining(`(extended by '${at("belljar/profiles/mine.json")}')`),
    });
  });
  test("unreadable: a folder, a device, what is not UTF-8", () => {
    mkdirSync(at("d.json"));
    writeFileSync(at("latin.json"), Buffer.from([0x22, 0xe4, 0x22]));
    expect(caught(() => loadProfile(at("d.json"), null))).toMatchObject({
      code: "profile-unreadable",
      message: expect.stringContaining("is a directory"),
    });
    expect(caught(() => loadProfile("/dev/zero", null))).toMatchObject({
      code: "profile-unreadable",
      message: expect.stringContaining("no regular file"),
    });
    expect(caught(() => loadProfile(at("latin.json"), null))).toMatchObject({
      code: "profile-unreadable",
      message: expect.stringContaining("not valid UTF-8"),
    });
  });
  test("a huge file is refused, and only its beginning read", () => {
    writeFileSync(at("huge.json"), Buffer.alloc(8 * 1024 * 1024, " "));
    expect(loadProfile(at("huge.json"), null).text.length).toBeLessThan(2 * 1024 * 1024);
    expect(caught(() => resolveProfile(at("huge.json"), { load: loadProfile }))).toMatchObject({ code: "profile-invalid" });
  });
});

describe("users", () => {
  const policy = resolveProfile("default", { load: loadProfile }).policy;
  const directory = () => ({ ...policy, rootfs: { kind: "directory" as const, path: folder, writable: false, overlay: "auto" as const } });
  test("numbers, and the names of our own passwd", () => {
    expect(parseUser("5", policy)).toEqual({ uid: 5, gid: null });
    // A number that passwd knows has its group, as in container tools; the rest keep the profile's.
    expect(parseUser("0", policy)).toEqual({ uid: 0, gid: 0 });
    expect(parseUser("65534", policy)).toEqual({ uid: 65534, gid: 65534 });
    expect(parseUser("0:7", policy)).toEqual({ uid: 0, gid: 7 });
    expect(parseUser("5:6", policy)).toEqual({ uid: 5, gid: 6 });
    expect(parseUser("root", policy)).toEqual({ uid: 0, gid: 0 });
    expect(parseUser("nobody", policy)).toEqual({ uid: 65534, gid: 65534 });
    expect(parseUser("belljar", policy)).toEqual({ uid: policy.user.uid, gid: policy.user.gid });
  });
  test.each(["4294967295", "1:4294967295", "-1", "1:", ":1", "a:b", "", "a b", "who", "1.5"])("refused: %j", (text) => {
    expect(caught(() => parseUser(text, policy))).toMatchObject({ code: "usage", message: expect.stringContaining("'--user'") });
  });
  test("the names of another root file system, but never through a link", () => {
    mkdirSync(at("etc"));
    writeFileSync(at("real"), "root:x:0:0::/:/bin/sh\nbad line\nann:x:7:8::/:\nann:x:9:9::/:\n");
    symlinkSync("../real", at("etc/passwd"));
    expect(caught(() => parseUser("ann", directory()))).toMatchObject({ code: "usage" });
    rmSync(at("etc/passwd"));
    writeFileSync(at("etc/passwd"), "ann:x:7:8::/:\n");
    expect(parseUser("ann", directory())).toEqual({ uid: 7, gid: 8 });
  });
  test("the first entry of a name counts; lines that are none do not", () => {
    expect([...parsePasswd("a:x:1:2::/:\nx\n:x:1:1\nb:x:y:z\na:x:3:4")]).toEqual([["a", { uid: 1, gid: 2 }]]);
  });
});
