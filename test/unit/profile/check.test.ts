import { describe, expect, test } from "vitest";
import { BelljarError } from "../../../policy/errors.ts";
import { capabilityNumbers, parseProfile, problemsOf } from "../../../policy/profile/index.ts";
import { nearestName } from "../../../policy/profile/problems.ts";

function failure(text: string, file = "p.json"): BelljarError {
  try {
    parseProfile(text, file);
  } catch (error) {
    expect(error).toBeInstanceOf(BelljarError);
    return error as BelljarError;
  }
  throw new Error(`accepted: ${text}`);
}

/** All problems of a profile with these keys, as "path: message". */
function problems(keys: object): readonly string[] {
  const error = failure(JSON.stringify({ schemaVersion: 1, ...keys }));
  expect(error.code).toBe("profile-invalid");
  return problemsOf(error).map(({ path, message }) => `${path}: ${message}`);
}
const accepted = (keys: object): void => {
  const written = { schemaVersion: 1, ...keys };
  expect(parseProfile(JSON.stringify(written), "p.json")).toEqual(written);
};

describe("messages", () => {
  test("one problem is one line that names file, path, wish and value", () => {
    expect(failure('{"schemaVersion":1,"limits":{"memory":"64 potatoes"}}', "judge.json").message).toBe(
      'profile \'judge.json\': limits.memory: must be a size such as "64M", "1.5G" or 65536 (bytes), or null for no limit (got "64 potatoes")',
    );
  });
  test("several problems are told together, the first in the first line", () => {
    const { message } = failure('{"schemaVersion":1,"nam":"x","proc":"ful","limits":{"memory":0,"memory":1}}');
    const lines = message.split("\n");
    expect(lines[0]).toMatch(/^profile 'p\.json': limits\.memory: is given twice .* \(the first of 3 problems\)$/);
    expect(lines.slice(1).map((line) => line.trim().split(":")[0])).toEqual(["nam", "proc"]);
  });
  test("a flood of problems is cut", () => {
    const { message } = failure(
      JSON.stringify({ schemaVersion: 1, ...Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i])) }),
    );
    expect(message.split("\n").length).toBe(21);
    expect(message).toContain("and 480 more");
  });
  test.each([
    ["null", "must be a JSON object (got null)"],
    ["[]", "must be a JSON object (got [])"],
    ['"x"', 'must be a JSON object (got "x")'],
    ["{}", 'needs the key "schemaVersion"'],
    ['{"schemaVersion":2}', "schemaVersion: must be 1 (got 2)"],
    ['{"schemaVersion":"1"}', 'schemaVersion: must be 1 (got "1")'],
    ["{", "is not valid JSON: the text ends too early"],
  ])("%s", (text, words) => expect(failure(text).message).toContain(words));
});

describe("keys and types", () => {
  test.each<[object, string]>([
    [{ extnds: "a" }, 'extnds: is not a known key (did you mean "extends"?)'],
    [{ zzz: 1 }, "zzz: is not a known key"],
    [{ limits: { "cpu-time": "2s" } }, 'limits.cpu-time: is not a known key (did you mean "cpuTime"?)'],
    [{ limits: { memroy: "2M" } }, 'limits.memroy: is not a known key (did you mean "memory"?)'],
    [{ limits: { required: ["memroy"] } }, "limits.required[0]: must be one of"],
    [{ limits: [] }, "limits: must be an object (got [])"],
    [{ name: 5 }, "name: must be a string (got 5)"],
    [{ extends: 5 }, "extends: must be a string or a list (got 5)"],
    [{ extends: ["a", 5] }, "extends[1]: must be a string (got 5)"],
    [{ proc: "ful" }, 'proc: must be one of "private", "full", "none", "host-read-only" (got "ful") (did you mean "full"?)'],
    [{ rootfs: {} }, 'rootfs: needs the key "kind"'],
    [{ rootfs: { kind: "hots" } }, 'rootfs.kind: must be one of "host", "image", "directory" (got "hots") (did you mean "host"?)'],
    [{ rootfs: { kind: "host", path: "/x" } }, "rootfs.path: is not a known key"],
    [{ rootfs: { kind: "image" } }, 'rootfs: needs the key "reference"'],
    [{ user: { uid: -1 } }, "user.uid: must be at least 0 (got -1)"],
    [{ user: { uid: 4294967295 } }, "user.uid: must be at most 4294967294"],
    [{ user: { uid: 1.5 } }, "user.uid: must be a whole number (got 1.5)"],
    [{ mounts: [{ kind: "tmpfs" }] }, 'mounts[0]: needs the key "target"'],
    [{ mounts: [5] }, "mounts[0]: must be an object (got 5)"],
    [{ capabilities: ["NET_RAW"] }, 'capabilities[0]: must be a name that belljar knows (got "NET_RAW") (did you mean "CAP_NET_RAW"?)'],
    [{ landlock: { required: "yes" } }, 'landlock.required: must be true or false (got "yes")'],
    [{ seccomp: { syscalls: [{ names: [], action: "kill" }] } }, "seccomp.syscalls[0].names: must not be empty"],
    [{ seccomp: { syscalls: [{ action: "kill" }] } }, 'seccomp.syscalls[0]: needs the key "names"'],
  ])("%j", (keys, words) => expect(problems(keys).join("\n")).toContain(words));

  test("keys that reach prototypes elsewhere are ordinary unknown keys here", () => {
    expect(problems({ constructor: 1, toString: 1 })).toEqual(["constructor: is not a known key", "toString: is not a known key"]);
    expect(failure('{"schemaVersion":1,"limits":{"__proto__":{"memory":1}}}').message).toContain("limits.__proto__: ");
    expect(failure('{"schemaVersion":1,"process":{"env":{"__proto__":"x"}}}').message).toContain("process.env.__proto__: ");
    expect(Object.prototype).not.toHaveProperty("memory");
  });
  test("a mistake in one place does not hide one in another", () => {
    const found = problems({
      mounts: [
        { kind: "tmpfs", target: 5 },
        { kind: "tmpfs", target: "x" },
      ],
      limits: { cpus: 0, x: 1 },
      process: { umask: "9" },
    });
    expect(found.map((line) => line.split(":")[0])).toEqual([
      "mounts[0].target",
      "limits.x",
      "mounts[1].target",
      "process.umask",
      "limits.cpus",
    ]);
  });
});

describe("limits", () => {
  const bad: readonly unknown[] = [-1, "-1", 1e308, "1e308", "64 potatoes", "", true, [], {}, "NaN"];
  const names = [
    "cpuTime",
    "wallTime",
    "memory",
    "processes",
    "output",
    "disk",
    "inodes",
    "openFiles",
    "fileSize",
    "stack",
    "cpus",
    "cpuset",
    "lockedMemory",
    "core",
    "addressSpace",
  ];
  test.each(names.flatMap((name) => bad.map((value) => [name, value] as const)))("limits.%s refuses %j", (name, value) => {
    expect(problems({ limits: { [name]: value } })).toEqual([
      expect.stringMatching(new RegExp(`^limits\\.${name}: must be .*null for no limit \\(got `)),
    ]);
  });
  test.each(names.filter((name) => !["cpuset", "core", "lockedMemory"].includes(name)))("limits.%s refuses 0", (name) => {
    for (const zero of [0, "0"]) expect(problems({ limits: { [name]: zero } })).toHaveLength(1);
  });
  test("takes units, base units and null", () => {
    accepted({
      limits: {
        cpuTime: "1.5s",
        wallTime: 3000,
        memory: "64MiB",
        processes: 32,
        cpus: "0.5",
        cpuset: "0-3",
        core: 0,
        lockedMemory: "0",
        disk: null,
      },
    });
  });
});

describe("paths and names", () => {
  test.each([
    ["data", "must be an absolute path"],
    ["/a/../b", 'must not hold ".."'],
    ["/..", 'must not hold ".."'],
    ["/a//b", 'must be written plainly: "/a/b"'],
    ["/a/", 'must be written plainly: "/a"'],
    ["/a/./b", 'must be written plainly: "/a/b"'],
    ["/", 'must not be "/"'],
    ["/proc", "must not be in /proc"],
    ["/proc/1", "must not be in /proc"],
    ["/sys/fs", "must not be in /sys"],
    ["/dev/null", "must not be in /dev"],
    ["/a\u0000b", "must not hold control characters"],
    ["/a\nb", "must not hold control characters"],
  ])("a tmpfs on %j is refused", (target, words) => {
    expect(problems({ mounts: [{ kind: "tmpfs", target }] }).join()).toContain(`mounts[0].target: ${words}`);
  });
  test("names and paths too long for the kernel", () => {
    expect(problems({ mounts: [{ kind: "tmpfs", target: `/${"x".repeat(256)}` }] }).join()).toContain("names of at most 255 bytes");
    expect(problems({ mounts: [{ kind: "tmpfs", target: "/x".repeat(2100) }] }).join()).toContain("at most 4095 bytes");
  });
  test("masks may stand beneath what belljar provides, names that only begin alike anywhere", () => {
    accepted({
      mounts: [
        { kind: "mask", target: "/proc/kcore" },
        { kind: "tmpfs", target: "/process" },
        { kind: "read-only", target: "/work/in" },
      ],
    });
    expect(problems({ mounts: [{ kind: "mask", target: "/proc" }] })).toHaveLength(1);
  });
  test("two mounts on one target", () => {
    const mounts = [
      { kind: "tmpfs", target: "/a" },
      { kind: "tmpfs", target: "/b" },
      { kind: "mask", target: "/a" },
    ];
    expect(problems({ mounts })).toEqual(["mounts[2].target: is the target of mounts[0] already"]);
  });
  test("sources, sizes and modes", () => {
    const bind = (source: string) => problems({ mounts: [{ kind: "bind", target: "/a", source }] });
    expect(bind("~/x")).toEqual([expect.stringContaining('"~" is not expanded')]);
    expect(bind("")).toEqual(["mounts[0].source: must not be empty"]);
    const tmpfs = (keys: object) => problems({ mounts: [{ kind: "tmpfs", target: "/a", ...keys }] }).join();
    expect(tmpfs({ size: 0 })).toContain("mounts[0].size: must be more than 0");
    expect(tmpfs({ inodes: 0 })).toContain("mounts[0].inodes: must be at least 1");
    expect(tmpfs({ mode: "999" })).toContain("mounts[0].mode: must be an octal mode");
  });
  test("process", () => {
    expect(
      problems({ process: { workdir: "work", umask: "1000", hostname: "a_b", env: { "A=B": "1", "": "2" }, inheritEnv: ["X=1"] } }),
    ).toEqual([
      expect.stringContaining("process.workdir: must be an absolute path"),
      expect.stringContaining("process.hostname: must be 1 to 64 letters"),
      expect.stringContaining("process.umask: must be an octal mode"),
      expect.stringContaining('process.env["A=B"]: the name of a variable must not hold "="'),
      expect.stringContaining('process.env[""]: the name of a variable must not be empty'),
      expect.stringContaining("process.inheritEnv[0]: "),
    ]);
    accepted({ process: { workdir: "/", hostname: "node-1.example", env: { A: "", "odd.name": "a=b=c", constructor: "fine" } } });
  });
  test("profile names and extends", () => {
    for (const name of ["", "a/b", "a\u001bb", "-x", "x".repeat(65)]) expect(problems({ name })).toHaveLength(1);
    expect(problems({ extends: "" })).toEqual(["extends: must not be empty"]);
    expect(problems({ extends: ["a", " "] })).toEqual(["extends[1]: must not be empty"]);
    expect(problems({ extends: Array(17).fill("a") })).toEqual(["extends: must not name more than 16 profiles"]);
  });
  test("image references", () => {
    for (const reference of ["", "a b", "x\u0007"]) expect(problems({ rootfs: { kind: "image", reference } })).toHaveLength(1);
  });
});

describe("system call rules", () => {
  const rule = (keys: object) => problems({ seccomp: { syscalls: [{ names: ["ioctl"], action: "errno:EPERM", ...keys }] } });
  test.each([
    ["alow", 'must be "allow", "errno:NAME"'],
    ["errno:0", "must have an errno from 1 to 4095: 0 would tell the program that the call succeeded"],
    ["errno:4096", "must have an errno from 1 to 4095"],
    ["errno:65537", "must have an errno from 1 to 4095"],
    ["errno:-1", "must have an errno from 1 to 4095"],
    ["errno:", 'must be "allow"'],
    ["errno:eperm", 'must be "allow"'],
    ["EPERM", 'must be "allow"'],
  ])("action %s", (action, words) => {
    expect(rule({ action })).toEqual([expect.stringContaining(`seccomp.syscalls[0].action: ${words}`)]);
    expect(problems({ seccomp: { defaultAction: action } })).toEqual([expect.stringContaining(`seccomp.defaultAction: ${words}`)]);
  });
  test.each<[object, string]>([
    [{ index: 6, op: "eq", value: 1 }, "args[0].index: must be at most 5"],
    [{ index: 0, op: "==", value: 1 }, "args[0].op: must be one of"],
    [{ index: 0, op: "eq", value: -1 }, "args[0].value: must be a whole number from 0"],
    [{ index: 0, op: "eq", value: 2 ** 53 }, "args[0].value: must be a whole number from 0"],
    [{ index: 0, op: "eq", value: "0x10000000000000000" }, "args[0].value: must be a whole number from 0"],
    [{ index: 0, op: "eq", value: "18446744073709551616" }, "args[0].value: must be a whole number from 0"],
    [{ index: 0, op: "eq", value: "0x100000000", width: 32 }, "args[0].value: must fit in 32 bits"],
    [{ index: 0, op: "masked-eq", value: 1 }, 'args[0].mask: is needed by "masked-eq"'],
    [{ index: 0, op: "eq", value: 1, mask: 1 }, 'args[0].mask: means nothing to "eq"'],
    [{ index: 0, op: "masked-eq", value: 3, mask: 1 }, "args[0].value: has bits outside the mask"],
    [{ index: 0, op: "eq", value: 1, width: 16 }, "args[0].width: must be one of 32, 64"],
  ])("argument %j", (arg, words) => expect(rule({ args: [arg] })).toEqual([expect.stringContaining(`seccomp.syscalls[0].${words}`)]));

  test("names and rule sets", () => {
    expect(rule({ names: ["ptrace", "PTRACE"] })).toEqual([
      expect.stringContaining("seccomp.syscalls[0].names[1]: must be the name of a system call"),
    ]);
    expect(problems({ seccomp: { extends: ["default", "strct"] } })).toEqual([
      expect.stringContaining('seccomp.extends[1]: must be one of "default"'),
    ]);
    expect(problems({ seccomp: { extends: "constructor" } })).toHaveLength(1);
  });
  test("what is right is taken", () => {
    const args = [
      { index: 1, op: "masked-eq", value: "0xffffffffffffffff", mask: "0xffffffffffffffff" },
      { index: 1, op: "ne", value: 4, width: 32 },
    ];
    accepted({
      seccomp: { extends: ["default"], defaultAction: "errno:38", syscalls: [{ names: ["ioctl"], action: "errno:4095", args }] },
    });
  });
});

describe("loosenings need a comment", () => {
  const rule = (action: string, comment?: string) => ({ names: ["bpf"], action, ...(comment === undefined ? {} : { comment }) });
  const bind = { kind: "bind", source: "/d", target: "/d", access: "read-write" };
  test.each<[string, object, object]>([
    ["namespaces.user", { namespaces: { user: "allow" } }, { namespaces: { user: "allow", comment: "why" } }],
    ["network.mode", { network: { mode: "host" } }, { network: { mode: "host", comment: "why" } }],
    ["proc", { proc: "full" }, { proc: "full", comments: { proc: "why" } }],
    ["proc", { proc: "host-read-only" }, { proc: "host-read-only", comments: { proc: "why" } }],
    ["sys", { sys: "private" }, { sys: "private", comments: { sys: "why" } }],
    ["mounts[0]", { mounts: [bind] }, { mounts: [{ ...bind, comment: "why" }] }],
    ["capabilities", { capabilities: ["CAP_NET_RAW"] }, { capabilities: ["CAP_NET_RAW"], comments: { capabilities: "why" } }],
    ["seccomp.extends", { seccomp: { extends: "none" } }, { seccomp: { extends: "none" }, comments: { seccomp: "why" } }],
    [
      "seccomp.defaultAction",
      { seccomp: { defaultAction: "log" } },
      { seccomp: { defaultAction: "log" }, comments: { "seccomp.defaultAction": "why" } },
    ],
    ["seccomp.syscalls[0]", { seccomp: { syscalls: [rule("allow")] } }, { seccomp: { syscalls: [rule("allow", "why")] } }],
  ])("%s", (path, bare, explained) => {
    expect(problems(bare)).toEqual([
      expect.stringMatching(new RegExp(`^${path.replace(/[[\].]/g, "\\$&")}: needs a .*that says who needs it`)),
    ]);
    accepted(explained);
  });
  test("white space explains nothing", () => {
    expect(problems({ network: { mode: "host", comment: "  " } })).toHaveLength(1);
    expect(problems({ proc: "full", comments: { proc: "\t" } })).toHaveLength(1);
  });
  test("what tightens needs none", () => {
    accepted({
      namespaces: { user: "deny" },
      network: { mode: "none" },
      proc: "none",
      mounts: [{ ...bind, access: "read-only" }],
      capabilities: [],
      seccomp: { syscalls: [rule("kill"), rule("errno:EPERM")] },
    });
  });
});

test("nearest names", () => {
  expect(nearestName("memroy", ["memory", "disk"])).toBe("memory");
  expect(nearestName("cpu_time", ["wallTime", "cpuTime"])).toBe("cpuTime");
  expect(nearestName("xyzzy", ["memory", "disk"])).toBeNull();
  expect(nearestName("x".repeat(1000), ["memory"])).toBeNull();
});

test("capability numbers are the kernel's", () => {
  expect(Object.keys(capabilityNumbers)).toHaveLength(41);
  expect(Object.values(capabilityNumbers)).toEqual(Array.from({ length: 41 }, (_, index) => index));
  expect(capabilityNumbers).toMatchObject({ CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21, CAP_CHECKPOINT_RESTORE: 40 });
});
