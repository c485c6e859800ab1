import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { directoryRootfsFacts, folderUid, parseCpuList, perfClockLikely, probeHostFacts } from "../../../cli/host/facts.ts";
import { hostFiles } from "../../../cli/host/host-files.ts";
import { resourceFacts } from "../../../cli/host/resource-limits.ts";
import { builtinProfiles, resolveProfile } from "../../../policy/profile/index.ts";
import { fakeHost } from "./tree.ts";

test.each([
  ["0-3,8\n", [0, 1, 2, 3, 8]],
  ["0", [0]],
  ["", []],
  ["3-1", []],
  ["x,2", [2]],
])("parseCpuList(%j)", (text, cpus) => expect(parseCpuList(text)).toEqual(cpus));

test.each([
  ["-1", true],
  ["2\n", true],
  ["3", false],
  ["4", false],
  [null, false],
])("perf_event_paranoid %j", (level, likely) => {
  const { files } = fakeHost(level === null ? {} : { "/proc/sys/kernel/perf_event_paranoid": level });
  expect(perfClockLikely(files)).toBe(likely);
});

test("folders are named by the number outside, where root is but a name", () => {
  const { files } = fakeHost({ "/proc/self/uid_map": "         0       1000          1\n" });
  expect(folderUid(files, 0)).toBe(1000);
  expect(folderUid(files, 5)).toBe(5);
  expect(folderUid(fakeHost({}).files, 0)).toBe(0);
});

const limitsText = `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              30                   60                   seconds
Max file size             unlimited            1048576              bytes
Max stack size            8388608              unlimited            bytes
Max core file size        1                    1                    bytes
Max processes             96365                96365                processes
Max open files            1024                 4096                 files
Max locked memory         8388608              8388608              bytes
Max address space         unlimited            9223372036854775807  bytes
Max nice priority         0                    0
`;

describe("resource limits of the caller", () => {
  test("hard limits in our units; unlimited, absent and beyond all numbers is none", () => {
    expect(resourceFacts(fakeHost({ "/proc/self/limits": limitsText }).files)).toEqual({
      callerLimits: {
        cpuTime: 60_000,
        fileSize: 1_048_576,
        stack: null,
        core: 1,
        processes: 96_365,
        openFiles: 4096,
        lockedMemory: 8_388_608,
        addressSpace: null,
      },
      core: { escape: null, closed: true },
    });
    const { callerLimits, core } = resourceFacts(fakeHost({}).files);
    expect(new Set(Object.values(callerLimits))).toEqual(new Set([null]));
    expect(core).toEqual({ escape: null, closed: false });
  });
  test("those of this very process", () => {
    const [soft, hard] = execFileSync("sh", ["-c", "ulimit -Sn; ulimit -Hn"], { encoding: "utf8" }).trim().split("\n");
    expect(soft).toMatch(/^(\d+|unlimited)$/);
    expect(resourceFacts(hostFiles()).callerLimits.openFiles).toBe(hard === "unlimited" ? null : Number(hard));
  });
  test.each([
    ["core\n", 0, null],
    ["|/usr/share/apport %p\n", "unlimited", null],
    ["|/usr/share/apport %p\n", 1, null],
    ["|/usr/share/apport %p\n", 0, "program"],
    ["@/run/coredump.socket\n", "unlimited", "socket"],
    ["@@/run/coredump.socket\n", 0, "socket"],
  ] as const)("core_pattern %j under a hard core limit of %s: %s", (pattern, hard, taker) => {
    const limits = `Max core file size        0                    ${String(hard).padEnd(20)} bytes\n`;
    const { files } = fakeHost({ "/proc/sys/kernel/core_pattern": pattern, "/proc/self/limits": limits });
    expect(resourceFacts(files).core.escape).toBe(taker);
  });
});

describe("directoryRootfsFacts", () => {
  test("lists the top level, links with their text", () => {
    const { root } = fakeHost({ "/r/usr/bin/true": "", "/r/bin": { link: "usr/bin" }, "/r/README": "" });
    expect(directoryRootfsFacts(join(root, "r"))).toEqual({
      path: join(root, "r"),
      entries: [
        { name: "README", kind: "file", target: null },
        { name: "bin", kind: "symlink", target: "usr/bin" },
        { name: "usr", kind: "directory", target: null },
      ],
    });
  });

  test.each([
    ["missing", "no such directory"],
    ["file", "is not a directory"],
    ["empty", "holds neither usr nor bin"],
  ])("%s is refused", (name, words) => {
    const { root } = fakeHost({ "/file": "", "/empty": null });
    expect(() => directoryRootfsFacts(join(root, name))).toThrow(
      expect.objectContaining({ code: "rootfs-invalid", message: expect.stringContaining(words) }),
    );
  });

  test("the host's own root is refused, also by another name", () => {
    const { root } = fakeHost({});
    mkdirSync(join(root, "d"));
    symlinkSync("/", join(root, "d/host"));
    for (const path of ["/", "/usr/..", join(root, "d/host")])
      expect(() => directoryRootfsFacts(path)).toThrow(expect.objectContaining({ code: "rootfs-invalid" }));
  });
});

const policy = resolveProfile("default", {
  load: (name) => ({ file: `built-in:${name}`, text: builtinProfiles[name as keyof typeof builtinProfiles] ?? "" }),
}).policy;

test("facts of this very host", () => {
  const { root } = fakeHost({});
  const environment = { XDG_CACHE_HOME: join(root, "cache"), USER: "me" };
  const facts = probeHostFacts({ policy, config: { cgroup: { use: "none" } }, environment });
  expect(facts).toMatchObject({ uid: process.getuid?.(), gid: process.getgid?.(), cgroup: { kind: "none" }, directoryRootfs: null });
  expect(facts.pageSize % 4096).toBe(0);
  expect(facts.onlineCpus.length).toBeGreaterThan(0);
  expect(facts.hostRootfs?.links.length).toBeGreaterThanOrEqual(0);
  // The second time from the cache, and the same.
  expect(probeHostFacts({ policy, config: { cgroup: { use: "none" } }, environment })).toEqual(facts);
});

test("only what the run uses is looked up", () => {
  const { root, files } = fakeHost({ "/r/usr/x": "", "/etc/subuid": "me:1:2\n" });
  const facts = probeHostFacts({ policy, config: {}, directory: join(root, "r"), files, environment: {} });
  expect(facts).toMatchObject({ hostRootfs: null, directoryRootfs: { path: join(root, "r") }, subordinate: { uids: [], newuidmap: null } });
});
