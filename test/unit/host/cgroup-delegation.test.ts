import { describe, expect, test } from "vitest";
import { parseOwnCgroups, prepareCgroup, surveyCgroups } from "../../../cli/host/cgroup-delegation.ts";
import { parseMountInfo, pathThroughMount } from "../../../cli/host/mountinfo.ts";
import { fakeHost, readOnlyFor } from "./tree.ts";

const hybrid = {
  "/proc/self/mountinfo": [
    "30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
    "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
    "",
  ].join("\n"),
  "/proc/self/cgroup": "4:memory:/a:b\n0::/\n",
  "/sys/fs/cgroup/unified/cgroup.controllers": "hugetlb",
  "/sys/fs/cgroup/unified/cgroup.subtree_control": "",
  "/sys/fs/cgroup/unified/cgroup.procs": "1\n",
  "/sys/fs/cgroup/memory/belljar-7/cgroup.procs": "",
};

describe("surveyCgroups", () => {
  test("hybrid: v1 wins where v2 has no memory controller", () => {
    const { files } = fakeHost(hybrid);
    expect(surveyCgroups({ files, uid: 7, pid: 1 }).facts).toEqual({
      kind: "cgroup1",
      hierarchies: [{ parent: "/sys/fs/cgroup/memory/belljar-7", controllers: ["memory"], swap: false }],
    });
  });

  test("hybrid: a v2 without controllers is still used where v1 is closed", () => {
    const { files } = fakeHost(hybrid);
    const seen = readOnlyFor(files, (path) => (path.includes("/memory") ? "EACCES" : null));
    expect(surveyCgroups({ files: seen, uid: 7, pid: 1 }).facts).toEqual({
      kind: "cgroup2",
      parent: "/sys/fs/cgroup/unified",
      controllers: [],
    });
  });

  test("the reason for none is about memory, and in a hybrid layout about v1 only", () => {
    const { files } = fakeHost(hybrid);
    const seen = readOnlyFor(files, () => "EACCES");
    expect(surveyCgroups({ files: seen, uid: 9, pid: 1 })).toMatchObject({
      facts: { kind: "none", reason: "cgroup v1: '/sys/fs/cgroup/memory/belljar-9' does not exist" },
      refusals: [{ version: 1, remedy: "cgroup1-folder" }],
    });
  });

  test.each([
    [{ use: "none" }, "none"],
    [{ use: "cgroup1" }, "cgroup1"],
    [{ use: "cgroup2" }, "cgroup2"],
  ] as const)("the configuration %o decides", (config, kind) => {
    const { files } = fakeHost(hybrid);
    expect(surveyCgroups({ files, uid: 7, pid: 1, config }).facts.kind).toBe(kind);
  });

  test("no cgroup file system at all", () => {
    const { files } = fakeHost({ "/proc/self/mountinfo": "", "/proc/self/cgroup": "" });
    expect(surveyCgroups({ files, uid: 7, pid: 1 }).facts).toMatchObject({
      kind: "none",
      reason: expect.stringContaining("none is mounted here"),
    });
  });
});

test("prepareCgroup reports only what the kernel shows afterwards", () => {
  // Plain files: what is written replaces what was there, so the last controller alone is shown.
  const { root } = fakeHost({ "/d/cgroup.subtree_control": "", "/d/cgroup.procs": "" });
  const place = { parent: `${root}/d`, enabled: [], toEnable: ["memory", "pids"], moveSelf: false };
  const facts = { kind: "cgroup2", parent: place.parent, controllers: ["memory", "pids"] } as const;
  expect(prepareCgroup({ facts, place, refusals: [] })).toEqual({ ...facts, controllers: [] });
});

test("prepareCgroup without permission keeps what was enabled before", () => {
  const { root } = fakeHost({ "/d": "a file, in which nothing can be made" });
  const place = { parent: `${root}/d`, enabled: ["memory"], toEnable: ["pids"], moveSelf: true };
  const facts = { kind: "cgroup2", parent: place.parent, controllers: ["memory", "pids"] } as const;
  expect(prepareCgroup({ facts, place, refusals: [] })).toEqual({ ...facts, controllers: ["memory"] });
});

test("own cgroups: colons in paths, joined controllers, deleted cgroups", () => {
  const own = parseOwnCgroups("5:cpu,cpuacct:/x\n4:memory:/a:b/c\n1:name=systemd:/y\n0::/gone (deleted)\n");
  expect(Object.fromEntries(own)).toEqual({ cpu: "/x", cpuacct: "/x", memory: "/a:b/c", "name=systemd": "/y", "": "/gone" });
});

test("mountinfo: blanks in paths, optional fields, parts of a file system", () => {
  const [mount] = parseMountInfo("36 35 98:0 /a\\040b /mnt\\040c ro,noatime master:1 shared:2 - cgroup2 none rw,nsdelegate\nrubbish\n");
  expect(mount).toEqual({ root: "/a b", path: "/mnt c", readOnly: true, fsType: "cgroup2", superOptions: ["rw", "nsdelegate"] });
  if (mount === undefined) throw new Error("not parsed");
  expect(pathThroughMount(mount, "/a b/x")).toBe("/mnt c/x");
  expect(pathThroughMount(mount, "/a bc")).toBeNull();
});
