import { describe, expect, test } from "vitest";
import {
  diffPolicies,
  explainProfile,
  formatLimit,
  loadBuiltin,
  parseLimit,
  parseSet,
  type ResolveResult,
  resolveProfile,
  spellLimit,
} from "../../../policy/profile/index.ts";
import { limitKinds, readLimit } from "../../../policy/profile/limits.ts";
import { limitNames } from "../../../policy/profile/types.ts";

const resolve = (name: string, ...sets: readonly string[]): ResolveResult =>
  resolveProfile(name, {
    load: (ref) => {
      const builtin = loadBuiltin(ref);
      if (builtin === null) throw new Error(ref);
      return builtin;
    },
    overrides: sets.map((text) => ({ ...parseSet(text), origin: `option --set ${text}` })),
  });

describe("parseSet", () => {
  test.each<[string, string, unknown]>([
    ["limits.memory=1G", "limits.memory", "1G"],
    ["limits.memory=1024", "limits.memory", 1024],
    ["limits.memory=null", "limits.memory", null],
    ["limits.memory=", "limits.memory", ""],
    ["rootfs.writable=true", "rootfs.writable", true],
    ['capabilities=["CAP_CHOWN"]', "capabilities", ["CAP_CHOWN"]],
    ["process.env.A=1=2", "process.env.A", "1=2"],
    ["process.env.A=5", "process.env.A", "5"],
    ['process.env["odd.name"]=null', 'process.env["odd.name"]', "null"],
    ["process.umask=077", "process.umask", "077"],
    ["process.umask=77", "process.umask", "77"],
    ['mounts[+]={"kind":"mask","target":"/a"}', "mounts[+]", { kind: "mask", target: "/a" }],
  ])("%s", (text, path, value) => expect(parseSet(text)).toEqual({ path, value }));
  test.each([
    ["limits.memory", "must be PATH=VALUE such as limits.memory=1G"],
    ["=5", "is not a path"],
    ["limits..memory=5", "is not a path"],
    ['capabilities=["CAP_CHOWN"', "capabilities: is not valid JSON: the text ends too early"],
    ['process={"env":{"A":"1","A":"2"}}', "process: env.A: is given twice"],
    ['process={"__proto__":1}', 'the key "__proto__" is not allowed'],
    [`mounts=${"[".repeat(1000)}`, "nested deeper than 32 levels"],
  ])("%s is refused", (text, words) => {
    expect(() => parseSet(text)).toThrowError(expect.objectContaining({ code: "usage", message: expect.stringContaining(words) }));
  });
});

describe("limits", () => {
  test("options take none for no limit, files do not", () => {
    expect(parseLimit("memory", "64M", "--memory")).toBe(67108864);
    expect(parseLimit("memory", "none", "--memory")).toBeNull();
    expect(() => parseLimit("memory", "64 potatoes", "--memory")).toThrowError(
      /^--memory: must be a size .*, or "none" for no limit \(got "64 potatoes"\)$/,
    );
    expect(readLimit("memory", "none").ok).toBe(false);
  });
  test.each([
    ["stack", 16_384, "at least 16 KiB"],
    ["addressSpace", 1_048_576, "at least 1 MiB"],
    ["openFiles", 3, "at least 3"],
  ] as const)("%s below what any program needs to start is refused, with the minimum", (name, min, words) => {
    expect(readLimit(name, min)).toEqual({ ok: true, value: min });
    expect(readLimit(name, min - 1)).toMatchObject({ ok: false, problem: expect.stringContaining(words) });
    expect(readLimit(name, null).ok).toBe(true);
  });
  test("words and spelling, for every limit", () => {
    expect(Object.keys(limitKinds)).toEqual([...limitNames]);
    const samples: Readonly<Record<string, [number | string, string, string | number]>> = {
      duration: [1500, "1.5 s", "1500ms"],
      size: [1_572_864, "1.5 MiB", "1536K"],
      count: [32, "32", 32],
      cpus: [0.5, "0.5", 0.5],
      cpuset: ["0-3", "0-3", "0-3"],
    };
    for (const name of limitNames) {
      const [value, words, spelled] = samples[limitKinds[name].unit] ?? [0, "", ""];
      expect(formatLimit(name, value)).toBe(words);
      expect(spellLimit(name, value)).toBe(spelled);
      expect(readLimit(name, spelled)).toEqual({ ok: true, value });
      expect(formatLimit(name, null)).toBe("no limit");
    }
  });
});

describe("explain", () => {
  test.each([
    ["default", null, "as the rule set says"],
    ["default", "kill", 'kill (no effect: rule set "default" names every known call)'],
    ["strict", "kill", "kill"],
  ])("the default action beside rule set %s: %s", (ruleSet, action, words) => {
    const rows = explainProfile(
      resolve("default", `seccomp.extends=${ruleSet}`, ...(action === null ? [] : [`seccomp.defaultAction=${action}`])),
    );
    expect(rows.find(({ path }) => path === "seccomp.defaultAction")?.value).toBe(words);
  });
  test("a row for every field, in words, with origin and comment", () => {
    const rows = explainProfile(
      resolve("judge", "limits.memory=512M", "process.env.A=x", 'mounts[+]={"kind":"tmpfs","target":"/c","size":"1M"}'),
    );
    const row = (path: string) => rows.find((one) => one.path === path);
    expect(row("limits.memory")).toEqual({
      path: "limits.memory",
      value: "512 MiB",
      raw: 2 ** 29,
      origin: "option --set limits.memory=512M",
      comment: null,
    });
    expect(row("limits.wallTime")).toMatchObject({
      value: "6 s",
      origin: "built-in:judge",
      comment: expect.stringContaining("three times"),
    });
    expect(row("limits.cpuset")).toMatchObject({ value: "no limit", origin: "built-in:default" });
    expect(row("process.env.A")).toMatchObject({ value: '"x"', origin: "option --set process.env.A=x" });
    expect(row("mounts[0]")).toMatchObject({ value: "tmpfs on /c, 1 MiB, mode 0755" });
    expect(row("process.umask")).toMatchObject({ value: "0022" });
    expect(rows.map(({ path }) => path)).toEqual([...new Set(rows.map(({ path }) => path))]);
    expect(limitNames.every((name) => row(`limits.${name}`) !== undefined)).toBe(true);
  });
  test("a comment ends with the value it was written for", () => {
    const stack = (result: ResolveResult) => explainProfile(result).find(({ path }) => path === "limits.stack")?.comment ?? null;
    expect(stack(resolve("default"))).toContain("what programs are tested with");
    expect(stack(resolve("judge"))).toContain("deep recursion");
    expect(stack(resolve("unlimited"))).toBeNull();
    expect(stack(resolve("default", "limits.stack=1M"))).toBeNull();
  });
  test("rules are said with their conditions", () => {
    const rule = {
      names: ["ioctl", "fcntl"],
      action: "kill",
      args: [
        { index: 1, op: "masked-eq", value: 2, mask: 3 },
        { index: 0, op: "ne", value: 4 },
      ],
    };
    const rows = explainProfile(resolve("default", `seccomp.syscalls[+]=${JSON.stringify(rule)}`));
    expect(rows.find(({ path }) => path === "seccomp.syscalls[0]")?.value).toBe("ioctl, fcntl: kill if (arg1 & 3) == 2 and arg0 ne 4");
  });
});

describe("diff", () => {
  test("a policy does not differ from itself", () => expect(diffPolicies(resolve("judge").policy, resolve("judge").policy)).toEqual([]));
  test("tells fields that differ and those that one side lacks", () => {
    const rows = diffPolicies(resolve("judge").policy, resolve("strict", "process.env.A=1", "limits.memory=268435457").policy);
    expect(rows).toEqual([
      { path: "limits.memory", left: "256 MiB", right: "256 MiB" },
      { path: "seccomp.extends", left: "default", right: "strict" },
      { path: "process.env.A", left: null, right: '"1"' },
    ]);
  });
});
