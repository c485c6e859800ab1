import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { BelljarError } from "../../../policy/errors.ts";
import {
  builtinProfiles,
  capabilityNumbers,
  loadBuiltin,
  type Override,
  policyFacts,
  problemsOf,
  type ResolveResult,
  resolveProfile,
} from "../../../policy/profile/index.ts";
import { limitNames } from "../../../policy/profile/types.ts";

type Files = Readonly<Record<string, object | string>>;

/** Profiles of a made-up folder /p; built-in ones under their names. */
function resolve(ref: string, files: Files = {}, overrides: readonly Override[] = []): ResolveResult {
  return resolveProfile(ref, {
    overrides,
    load: (name, fromFile) => {
      const file = `/p/${name}`;
      const found = files[name];
      if (found !== undefined) return { file, text: typeof found === "string" ? found : JSON.stringify({ schemaVersion: 1, ...found }) };
      const builtin = loadBuiltin(name);
      if (builtin === null) throw new BelljarError("profile-not-found", `no ${name} (from ${fromFile})`);
      return builtin;
    },
  });
}
function failure(run: () => unknown): BelljarError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(BelljarError);
    return error as BelljarError;
  }
  throw new Error("nothing was thrown");
}

describe("built-in profiles", () => {
  test.each(Object.keys(builtinProfiles))("%s resolves without a warning", (name) => {
    const { policy, warnings, provenance } = resolve(name);
    expect(warnings).toEqual([]);
    expect(policy.name).toBe(name);
    expect(policy.description).not.toBe("");
    expect(policy.required).toEqual([]);
    expect(policy.limits.addressSpace).toBeNull();
    expect(policy.network.mode).toBe("none");
    expect(policy.namespaces.user).toBe("deny");
    expect(new Set(Object.values(provenance))).toContain("built-in:default");
  });
  test("default is complete: every field of a policy comes from it", () => {
    const written = JSON.parse(builtinProfiles["default"] ?? "");
    expect(Object.keys(written.limits).sort()).toEqual([...limitNames, "required"].sort());
    expect(Object.keys(written)).toEqual(
      expect.arrayContaining([
        "rootfs",
        "scratch",
        "user",
        "namespaces",
        "proc",
        "sys",
        "mounts",
        "process",
        "seccomp",
        "capabilities",
        "landlock",
        "network",
      ]),
    );
    expect(Object.keys(written.process).sort()).toEqual(["env", "hostname", "inheritEnv", "stopSignal", "stopTimeout", "umask", "workdir"]);
    expect(written.extends).toBeUndefined();
  });
  test("judge, in base units", () => {
    const { policy } = resolve("judge");
    expect(policy.limits).toEqual({
      cpuTime: 2000,
      wallTime: 6000,
      memory: 256 * 2 ** 20,
      processes: 32,
      output: 16 * 2 ** 20,
      disk: 64 * 2 ** 20,
      inodes: 10000,
      openFiles: 256,
      fileSize: 64 * 2 ** 20,
      stack: 64 * 2 ** 20,
      cpus: null,
      cpuset: null,
      lockedMemory: 0,
      core: 0,
      addressSpace: null,
    });
    expect(policy.rootfs).toEqual({ kind: "host", writable: false, overlay: "auto" });
    expect(policy.process).toEqual({
      ...{ workdir: "/work", env: { LANG: "C.UTF-8" }, inheritEnv: [], umask: 0o22, hostname: "belljar" },
      ...{ stopSignal: null, stopTimeout: 10_000 },
    });
    expect(policy.seccomp).toEqual({ ruleSets: ["default"], defaultAction: null, audit: true, file: null, syscalls: [] });
  });
  test("strict is judge with another rule set; unlimited has no limit but core", () => {
    expect(resolve("strict").policy.limits).toEqual(resolve("judge").policy.limits);
    expect(resolve("strict").policy.seccomp.ruleSets).toEqual(["strict"]);
    const { core, ...rest } = resolve("unlimited").policy.limits;
    expect(core).toBe(0);
    expect(new Set(Object.values(rest))).toEqual(new Set([null]));
  });
  test("built-in profiles mean each other, whatever a folder holds under the same name", () => {
    const shadow = { limits: { memory: null } };
    expect(resolve("judge", { default: shadow }).sources.map(({ file }) => file)).toEqual(["built-in:default", "built-in:judge"]);
  });
  test("changed text under a built-in name is checked like any other", () => {
    const load = () => ({ file: "built-in:judge", text: '{"schemaVersion":1,"nope":1}' });
    expect(failure(() => resolveProfile("judge", { load })).message).toContain("nope: is not a known key");
  });
});

describe("extends", () => {
  test("objects merge, scalars and lists replace, later wins; each field knows its file", () => {
    const files = {
      a: { limits: { memory: "1M", disk: "1M" }, process: { env: { A: "a", B: "a" } }, mounts: [{ kind: "tmpfs", target: "/a" }] },
      b: { limits: { memory: "2M" }, process: { env: { B: "b" } }, mounts: [{ kind: "tmpfs", target: "/b" }] },
      top: { extends: ["a", "b"], limits: { inodes: 5 } },
    };
    const { policy, provenance, sources } = resolve("top", files);
    expect(policy.limits).toMatchObject({ memory: 2 ** 21, disk: 2 ** 20, inodes: 5, cpuTime: 60_000 });
    expect(policy.process.env).toEqual({ LANG: "C.UTF-8", A: "a", B: "b" });
    expect(policy.mounts).toEqual([{ kind: "tmpfs", target: "/b", sizeBytes: 64 * 2 ** 20, inodes: null, mode: 0o755, comment: null }]);
    expect(provenance).toMatchObject({
      "limits.memory": "/p/b",
      "limits.disk": "/p/a",
      "limits.inodes": "/p/top",
      "limits.cpuTime": "built-in:default",
      "process.env.A": "/p/a",
      "process.env.B": "/p/b",
      mounts: "/p/b",
    });
    expect(sources.map(({ file }) => file)).toEqual(["built-in:default", "/p/a", "/p/b", "/p/top"]);
    expect(sources[0]?.sha256).toMatch(/^sha256:[0-9a-f]{64}$/);
  });
  test("what two profiles share comes once and first, so it undoes neither", () => {
    const files = {
      base: { limits: { memory: "1M", disk: "1M" } },
      left: { extends: "base", limits: { memory: "2M" } },
      right: { extends: "base", limits: { disk: "3M" } },
      top: { extends: ["left", "right"] },
    };
    expect(resolve("top", files).policy.limits).toMatchObject({ memory: 2 ** 21, disk: 3 * 2 ** 20 });
  });
  test.each<[string, Files, string]>([
    ["itself", { top: { extends: "top" } }, "/p/top -> /p/top"],
    ["two files", { top: { extends: "a" }, a: { extends: ["default", "top"] } }, "/p/top -> /p/a -> /p/top"],
    ["a ring below the top", { top: { extends: "a" }, a: { extends: "b" }, b: { extends: "a" } }, "/p/a -> /p/b -> /p/a"],
  ])("a cycle of %s shows its chain", (_what, files, chain) => {
    const error = failure(() => resolve("top", files));
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toContain(`extends: makes a cycle: ${chain}`);
  });
  test("endless chains end", () => {
    const load = (ref: string) => ({ file: `/p/${ref}`, text: JSON.stringify({ schemaVersion: 1, extends: `${Number(ref) + 1}` }) });
    expect(failure(() => resolveProfile("0", { load })).message).toContain("leads to more than 64 files");
  });
  test("profiles that name each other twice are read once a mention, not once a way", () => {
    let loads = 0;
    const load = (ref: string) => {
      loads += 1;
      const next = `${Number(ref) + 1}`;
      return { file: `/p/${ref}`, text: JSON.stringify({ schemaVersion: 1, extends: ref === "12" ? [] : [next, next] }) };
    };
    expect(resolveProfile("0", { load }).sources).toHaveLength(14);
    expect(loads).toBe(1 + 2 * 12);
  });
  test("errors name the file that has the mistake, and what load throws comes through", () => {
    expect(failure(() => resolve("top", { top: { extends: "a" }, a: { proc: "x" } })).message).toMatch(/^profile '\/p\/a': proc: /);
    expect(failure(() => resolve("top", { top: { extends: "gone" } }))).toMatchObject({
      code: "profile-not-found",
      message: "no gone (from /p/top)",
    });
  });
  test("name and description are the file's own", () => {
    expect(resolve("my-judge.json", { "my-judge.json": { extends: "judge" } }).policy).toMatchObject({ name: "my-judge", description: "" });
    expect(resolve("x", { x: { extends: "judge", name: "contest" } }).policy.name).toBe("contest");
  });
  test("a rootfs of another kind drops the keys of the old one and keeps the rest", () => {
    const files = {
      a: { rootfs: { kind: "image", reference: "debian:12", writable: true, overlay: { driver: "copy" } } },
      b: { extends: "a", rootfs: { kind: "directory", path: "/r" } },
      c: { extends: "b", rootfs: { kind: "host" } },
    };
    expect(resolve("b", files).policy.rootfs).toEqual({ kind: "directory", path: "/r", writable: true, overlay: "copy" });
    expect(resolve("c", files).policy.rootfs).toEqual({ kind: "host", writable: true, overlay: "copy" });
    expect(resolve("b", files).provenance["rootfs.reference"]).toBeUndefined();
  });
  test("host paths are relative to the file that names them", () => {
    const bind = (source: string) => ({ mounts: [{ kind: "bind", source, target: "/data" }] });
    expect(resolve("a", { a: bind("./data/../x") }).policy.mounts[0]).toMatchObject({
      source: "/p/x",
      access: "read-only",
      optional: false,
    });
    expect(resolve("a", { a: { rootfs: { kind: "directory", path: "root" } } }).policy.rootfs).toMatchObject({ path: "/p/root" });
    const text = '{"defaultAction":"SCMP_ACT_LOG"}';
    const withFile = resolve("a", { a: { seccomp: { file: "s.json" } }, "/p/s.json": text });
    expect(withFile.policy.seccomp.file).toEqual({ path: "/p//p/s.json", text });
    const load = () => ({ file: "text", text: JSON.stringify({ schemaVersion: 1, ...bind("data") }) });
    expect(failure(() => resolveProfile("x", { load })).message).toContain('mounts[0].source: must be an absolute path (got "data")');
  });
  test("a seccomp file takes part: its content is in the digest, its place is not", () => {
    const of = (name: string, text: string) => resolve("a", { a: { seccomp: { file: name } }, [`/p/${name}`]: text });
    const [one, moved, other] = [of("s", "1"), of("t", "1"), of("s", "2")];
    expect(one.digest).toBe(moved.digest);
    expect(one.digest).not.toBe(other.digest);
    expect(one.digest).not.toBe(resolve("a", { a: {} }).digest);
    expect(one.sources.at(-1)).toEqual({ file: "/p//p/s", sha256: `sha256:${createHash("sha256").update("1").digest("hex")}` });
    expect(policyFacts(one.policy)).toMatchObject({ seccomp: { file: { path: "/p//p/s", sha256: one.sources.at(-1)?.sha256 } } });
    expect(failure(() => resolve("a", { a: { seccomp: { file: "absent" } } })).code).toBe("profile-not-found");
  });
  test("capabilities are ordered and single, rules know their place", () => {
    const comments = { capabilities: "why" };
    const syscalls = [
      { names: ["ptrace"], action: "kill" },
      { names: ["bpf"], action: "errno:EPERM", comment: "no" },
    ];
    const { policy } = resolve("a", {
      a: { capabilities: ["CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_SYS_ADMIN"], comments, seccomp: { syscalls } },
    });
    expect(policy.capabilities).toEqual(["CAP_CHOWN", "CAP_SYS_ADMIN"]);
    expect(policy.seccomp.syscalls[1]).toEqual({
      names: ["bpf"],
      action: "errno:EPERM",
      args: [],
      comment: "no",
      origin: "/p/a#seccomp.syscalls[1]",
    });
  });
});

describe("contradictions", () => {
  test.each<[string, object, string]>([
    [
      "a required limit that is null",
      { limits: { memory: null, required: ["memory"] } },
      'limits.memory: must not be null, for "limits.required" names it',
    ],
    ["isolated single", { user: { map: "isolated" } }, 'user.map: must not be "isolated"'],
    [
      "Landlock and nested",
      { landlock: { required: true }, namespaces: { user: "allow", comment: "c" } },
      "landlock.required: must not be true",
    ],
    [
      "mounts to undo in the sandbox's own namespace",
      {
        capabilities: ["CAP_NET_RAW", "CAP_SYS_ADMIN"],
        comments: { capabilities: "c" },
        namespaces: { user: "allow", comment: "c" },
      },
      'capabilities: must not hold CAP_SYS_ADMIN with namespaces.user "allow": the program could undo read-only mounts',
    ],
    ["masks of what is not shown", { mounts: [{ kind: "mask", target: "/proc/kcore" }] }, "mounts: must not hide parts of /proc"],
  ])("%s is refused", (_what, keys, words) => {
    const error = failure(() => resolve("a", { a: keys }));
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toContain(`profile '/p/a': ${words}`);
  });
  test("a contradiction between files is blamed on the one that completed it", () => {
    const files = { a: { limits: { required: ["memory"] } }, b: { extends: "a", limits: { memory: null } } };
    expect(failure(() => resolve("b", files)).message).toContain("profile '/p/b': limits.memory: must not be null");
  });
  test.each<[object, string]>([
    [{ limits: { wallTime: "1s", cpuTime: "2s" } }, "limits.wallTime (1 s) is shorter than limits.cpuTime (2 s)"],
    [{ limits: { memory: "64M", disk: "65M" } }, "limits.memory (64 MiB) is less than limits.disk (65 MiB)"],
    [{ limits: { disk: null } }, "limits.inodes (50000) without limits.disk"],
    [{ limits: { memory: "4M", disk: "4M", stack: "8M" } }, "limits.memory (4 MiB) is less than limits.stack (8 MiB)"],
    [{ limits: { wallTime: "8s", cpuTime: "4s", cpus: 0.25 } }, "leaves room for 2 s of CPU time, less than limits.cpuTime (4 s)"],
    [{ limits: { cpus: 3, cpuset: "0-1" } }, "limits.cpus (3) is more than the 2 CPUs of limits.cpuset (0-1)"],
    [{ limits: { cpus: 1.5, cpuset: "3" } }, "limits.cpus (1.5) is more than the one CPU of limits.cpuset (3)"],
    [
      { limits: { memory: "64M", disk: "64M", lockedMemory: "65M" } },
      "limits.memory (64 MiB) is less than limits.lockedMemory (65 MiB): locking",
    ],
    [{ limits: { disk: "1M", fileSize: "2M" } }, "limits.disk (1 MiB) is less than limits.fileSize (2 MiB): a file fills"],
    [
      { limits: { disk: "8M", fileSize: "1M", core: "2M" } },
      "limits.fileSize (1 MiB) is less than limits.core (2 MiB): a core file is cut",
    ],
    [{ limits: { disk: "1M", core: "2M" } }, "limits.disk (1 MiB) is less than limits.core (2 MiB): a core file fills"],
    [
      { limits: { memory: "8M" }, mounts: [{ kind: "tmpfs", target: "/cache", size: "9M" }] },
      "limits.memory (8 MiB) is less than the tmpfs on /cache (9 MiB)",
    ],
    [{ limits: { addressSpace: "4G" } }, "limits.addressSpace (4 GiB) counts reservations"],
    [{ network: { mode: "host", comment: "c" } }, "and its abstract sockets where Landlock is older than Linux 6.12"],
    [{ namespaces: { user: "allow", comment: "c" } }, "Landlock is off"],
  ])("%j warns", (keys, words) => expect(resolve("a", { a: keys }).warnings).toEqual([expect.stringContaining(words)]));
  test("every other capability goes with namespaces.user allow: none of them leads to CAP_SYS_ADMIN", () => {
    const capabilities = Object.keys(capabilityNumbers).filter((name) => name !== "CAP_SYS_ADMIN");
    const { policy } = resolve("a", { a: { capabilities, comments: { capabilities: "c" }, namespaces: { user: "allow", comment: "c" } } });
    expect(policy.capabilities).toEqual(capabilities);
  });
  test("the host's network with Landlock off: the warning says that its abstract sockets are reached", () => {
    const both = { network: { mode: "host", comment: "c" }, namespaces: { user: "allow", comment: "c" } };
    expect(resolve("a", { a: both }).warnings).toEqual([
      expect.stringContaining("loopback and abstract sockets included: Landlock, which could keep those from it, is off"),
      expect.stringContaining("Landlock is off and the masks"),
    ]);
  });
  test("who only tightens one of two limits is not warned; who asks for the one out of reach is", () => {
    expect(resolve("a", { a: { limits: { wallTime: "1s", memory: "8M" } } }).warnings).toEqual([]);
    expect(resolve("a", { a: { limits: { cpuTime: "10m" } } }).warnings).toEqual([expect.stringContaining("the wall clock stops")]);
  });
  test("what a volume may hold is not bounded by the scratch space", () => {
    const mounts = [{ kind: "bind", source: "/srv", target: "/srv", access: "read-write", comment: "c" }];
    expect(resolve("a", { a: { limits: { disk: "1M", fileSize: "2M" }, mounts } }).warnings).toEqual([]);
  });
  test("two CPUs earn twice the wall time, but not on one CPU", () => {
    const limits = { wallTime: "2s", cpuTime: "3s", cpus: 2 };
    expect(resolve("a", { a: { limits: { ...limits, cpuset: "0-1" } } }).warnings).toEqual([]);
    expect(resolve("a", { a: { limits: { ...limits, cpuset: "1" } } }).warnings).toEqual([
      expect.stringContaining("limits.wallTime (2 s) is shorter than limits.cpuTime (3 s)"),
      expect.stringContaining("more than the one CPU"),
    ]);
  });
  test("several CPUs earn more CPU time than wall time; disk scratch is not memory", () => {
    expect(resolve("a", { a: { limits: { wallTime: "1s", cpuTime: "2s", cpus: 2 } } }).warnings).toEqual([]);
    expect(resolve("a", { a: { scratch: { storage: "disk" }, limits: { memory: "64M", disk: "1G" } } }).warnings).toEqual([]);
  });
});

describe("overrides", () => {
  const set = (path: string, value: unknown, origin = "option --set"): Override => ({ path, value, origin });

  test("win over files, in order, and are named as the origin", () => {
    const { policy, provenance } = resolve("judge", {}, [
      set("limits.memory", "1G", "option --memory"),
      set("limits.memory", 4096),
      set("limits.disk", "none", "option --disk"),
    ]);
    expect(policy.limits).toMatchObject({ memory: 4096, disk: null });
    expect(provenance).toMatchObject({
      "limits.memory": "option --set",
      "limits.disk": "option --disk",
      "limits.cpuTime": "built-in:judge",
    });
  });
  test("lift a limit by none or null", () => {
    for (const value of ["none", "null", null])
      expect(resolve("judge", {}, [set("limits.disk", value), set("limits.inodes", value)]).policy.limits.disk).toBeNull();
    expect(failure(() => resolve("judge", {}, [set("process.hostname", null)])).message).toContain("must be a string (got null)");
  });
  test("need no comment, for options are typed by who needs them", () => {
    const { policy } = resolve("default", {}, [
      set("network.mode", "host"),
      set("capabilities", ["CAP_NET_RAW"]),
      set("seccomp.extends", "none"),
    ]);
    expect(policy).toMatchObject({ network: { mode: "host" }, capabilities: ["CAP_NET_RAW"], seccomp: { ruleSets: ["none"] } });
  });
  test.each<[Override, string]>([
    [set("limits.memory", "64 potatoes", "option --memory"), '--memory: limits.memory: must be a size such as "64M"'],
    [set("limits.memory", 0, "option --memory"), "--memory: limits.memory: must be more than 0"],
    [set("limits.memroy", "1G"), '--set: limits.memroy: is not a known key (did you mean "memory"?)'],
    [set("limits", 5), "--set: limits: must be an object (got 5)"],
    [set("proc", "ful"), "--set: proc: must be one of"],
    [set("rootfs.kind", "directory"), '--set: rootfs: needs the key "path"'],
    [set("rootfs", { kind: "directory", path: "rel" }), '--set: rootfs.path: must be an absolute path (got "rel")'],
    [set("user.map", "isolated"), '--set: user.map: must not be "isolated"'],
    [set("mounts[0].target", "/x"), "--set: mounts[0].target: mounts has 0 elements; [+] adds one"],
    [set("proc[+]", "x"), "--set: proc[+]: proc is not a list"],
    [set("mounts[+]", { kind: "tmpfs", target: "/proc/x" }), "--set: mounts[0].target: must not be in /proc"],
    [set("extends", "judge"), "--set: extends: cannot be set by an option"],
    [set("", 1), "--set: : is not a path"],
    [set("process.env.__proto__", "x"), 'the key "__proto__" is not allowed'],
    [set("__proto__.memory", "x"), 'the key "__proto__" is not allowed'],
    [set("constructor.prototype", "x"), "--set: constructor: is not a known key"],
  ])("%j is a usage error", (override, words) => {
    const error = failure(() => resolve("default", {}, [override]));
    expect(error.code).toBe("usage");
    expect(error.message).toContain(words);
  });
  test("each override is blamed for its own problems only", () => {
    const error = failure(() =>
      resolve("default", {}, [
        set("limits.memory", "1G", "option --memory"),
        set("network.mode", "hots", "option --network"),
        set("proc", "x", "option --set"),
      ]),
    );
    expect(problemsOf(error).map(({ path }) => path)).toEqual(["proc"]);
    expect(error.message).toMatch(/^--set: proc/);
  });
  test("two that need each other are checked together", () => {
    expect(resolve("default", {}, [set("rootfs.kind", "directory"), set("rootfs.path", "/r")]).policy.rootfs).toMatchObject({
      kind: "directory",
      path: "/r",
    });
  });
  test("[+] adds to a list and an index changes an element; the others keep their origin", () => {
    const files = { a: { mounts: [{ kind: "tmpfs", target: "/a" }] } };
    const volume = { kind: "bind", source: "/s", target: "/b", access: "read-write" };
    const { policy, provenance } = resolve("a", files, [set("mounts[+]", volume, "option --volume"), set("mounts[0].size", "1M")]);
    expect(policy.mounts).toMatchObject([
      { target: "/a", sizeBytes: 2 ** 20 },
      { source: "/s", access: "read-write" },
    ]);
    expect(provenance).toMatchObject({ "mounts[0]": "option --set", "mounts[1]": "option --volume" });
    expect(files.a.mounts).toEqual([{ kind: "tmpfs", target: "/a" }]);
    const twice = failure(() => resolve("a", files, [set("mounts[+]", { ...volume, target: "/a" }, "option --volume")]));
    expect(twice.message).toBe("--volume: mounts[1].target: is the target of mounts[0] already");
  });
  test("a list that is set anew forgets the origins of its elements", () => {
    const { provenance } = resolve("default", {}, [
      set("mounts[+]", { kind: "tmpfs", target: "/a" }, "option --volume"),
      set("mounts", []),
    ]);
    expect(provenance["mounts[0]"]).toBeUndefined();
    expect(provenance["mounts"]).toBe("option --set");
  });
  test("keys of prototypes are ordinary names of variables", () => {
    const { policy } = resolve("default", {}, [set("process.env.constructor", "x"), set("process.env.toString", "y")]);
    expect(policy.process.env).toEqual({ LANG: "C.UTF-8", constructor: "x", toString: "y" });
  });
});

describe("digest", () => {
  test("is the same for the same policy, however it was written", () => {
    const a = { limits: { memory: "1G", disk: "1M" }, process: { env: { A: "1", B: "2" } }, description: "one" };
    const b = { extends: "c", process: { env: { B: "2", A: "1" } }, name: "other" };
    const c = { limits: { disk: 1048576, memory: "1024M" } };
    expect(resolve("a", { a }).digest).toBe(resolve("b", { b, c }).digest);
    expect(resolve("a", { a }).digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });
  test("changes with everything that the program meets", () => {
    const base = resolve("default").digest;
    const changes: readonly [string, unknown][] = [
      ["limits.memory", 1],
      ["limits.required", ["memory"]],
      ["process.env.A", ""],
      ["proc", "none"],
      ["mounts[+]", { kind: "tmpfs", target: "/a" }],
      ["seccomp.syscalls[+]", { names: ["bpf"], action: "kill" }],
      ["seccomp.audit", false],
      ["user.uid", 1],
    ];
    const digests = changes.map(([path, value]) => resolve("default", {}, [{ path, value, origin: "option --set" }]).digest);
    expect(new Set([base, ...digests]).size).toBe(changes.length + 1);
  });
});
