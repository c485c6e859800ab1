import { chmodSync, chownSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { configHome, loadConfig, parseConfig } from "../../../cli/host/config.ts";
import type { BelljarError } from "../../../policy/errors.ts";
import { fakeHost } from "./tree.ts";

test("a whole configuration", () => {
  const config = { runAs: "alice", cgroup: { use: "cgroup1", parent: "/sys/fs/cgroup/x", parents: { memory: "/sys/fs/cgroup/memory/x" } } };
  expect(parseConfig(JSON.stringify(config), "f")).toEqual(config);
  expect(parseConfig("{}", "f")).toEqual({});
});

test.each([
  ["{", "is no JSON"],
  ["[]", "must be an object"],
  ['{"runas":"x"}', "runas: unknown key (known: runAs, cgroup, registries, server)"],
  ['{"runAs":7}', "runAs: must be the name of an account"],
  ['{"runAs":""}', "runAs: must be the name of an account"],
  ['{"cgroup":1}', "cgroup: must be an object"],
  ['{"cgroup":{"use":"v2"}}', "cgroup.use: must be one of auto, none, cgroup1, cgroup2"],
  ['{"cgroup":{"parent":"x"}}', "cgroup.parent: must be an absolute path"],
  ['{"cgroup":{"parents":{"memory":"x"}}}', "cgroup.parents.memory: must be an absolute path"],
  ['{"cgroup":{"parents":{"Memory!":"/x"}}}', "cgroup.parents.Memory!: is no controller"],
  ['{"__proto__":{"runAs":"x"}}', "__proto__: unknown key"],
])("%s is refused", (text, words) => {
  expect(() => parseConfig(text, "/etc/f")).toThrow(
    expect.objectContaining({ code: "config-invalid", message: expect.stringContaining(`'/etc/f': ${words.split(":")[0]}`) }),
  );
  expect(() => parseConfig(text, "/etc/f")).toThrow(words);
});

describe("loadConfig", () => {
  const load = (root: string) => loadConfig({ XDG_CONFIG_HOME: join(root, "home") }, join(root, "system.json"));

  test("absent files are fine", () => expect(load(fakeHost({}).root)).toEqual({}));

  test("the user's keys win over the system's, one by one", () => {
    const { root } = fakeHost({ "/system.json": '{"runAs":"a","cgroup":{"use":"none"}}', "/home/belljar/config.json": '{"runAs":"b"}' });
    // The system's file must be root's: an ordinary user's own is refused.
    if (process.getuid?.() === 0) expect(load(root)).toEqual({ runAs: "b", cgroup: { use: "none" } });
    else expect(() => load(root)).toThrow("belongs to user");
  });

  test("one that everybody can write is refused", () => {
    const { root } = fakeHost({ "/home/belljar/config.json": "{}" });
    chmodSync(join(root, "home/belljar/config.json"), 0o666);
    expect(() => load(root)).toThrow(
      expect.objectContaining({ code: "config-invalid", message: expect.stringContaining("written by everybody") }),
    );
  });

  test("a folder or a huge file is refused", () => {
    const { root } = fakeHost({ "/home/belljar/config.json/x": "" });
    expect(() => load(root)).toThrow("is no regular file");
    const huge = fakeHost({ "/home/belljar/config.json": " ".repeat(70_000) });
    expect(() => load(huge.root)).toThrow("larger than");
  });
});

describe("a home that is somebody else's is named as the cause", () => {
  const hintOf = (environment: Record<string, string>) => {
    try {
      loadConfig(environment, "/nonexistent");
      return "no error";
    } catch (error) {
      return (error as BelljarError).hint;
    }
  };
  test.skipIf(process.getuid?.() !== 0)("a file that belongs to another user (root makes one)", () => {
    const { root } = fakeHost({ "/home/belljar/config.json": "{}" });
    const [home, file] = [join(root, "home"), join(root, "home/belljar/config.json")];
    chownSync(file, 4242, 4242);
    // Our own home with a foreign file in it: HOME is not at fault.
    expect(hintOf({ XDG_CONFIG_HOME: home })).toBeNull();
    chownSync(home, 4242, 4242);
    expect(hintOf({ XDG_CONFIG_HOME: home })).toContain(`XDG_CONFIG_HOME is ${home}, which is not yours`);
  });
  test.skipIf(process.getuid?.() === 0 || (statSync("/root").mode & 0o001) !== 0)(
    "one that may not be entered (root enters every one)",
    () => {
      expect(hintOf({ HOME: "/root" })).toBe("HOME is /root, which is not yours: set HOME to a folder of your own");
    },
  );
});

test("configHome: relative values count as unset", () => {
  expect(configHome({ XDG_CONFIG_HOME: "/c", HOME: "/h" })).toBe("/c");
  expect(configHome({ XDG_CONFIG_HOME: "c", HOME: "/h" })).toBe("/h/.config");
  expect(configHome({})).toBeNull();
});
