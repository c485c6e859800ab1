import { describe, expect, test } from "vitest";
import { type CgroupSurveyOptions, parseOwnCgroups, prepareCgroup, surveyCgroups } from "../../../cli/host/cgroup-delegation.ts";
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

  test("hybrid: v2 wins where it has the memory controller, whatever v1 has besides", () => {
    const { files } = fakeHost({
      ...hybrid,
      "/sys/fs/cgroup/unified/cgroup.controllers": "memory cpu",
      "/sys/fs/cgroup/unified/cgroup.subtree_control": "memory",
    });
    expect(surveyCgroups({ files, uid: 7, pid: 1, wanted: ["memory", "pids"] })).toMatchObject({
      facts: { kind: "cgroup2", parent: "/sys/fs/cgroup/unified", controllers: ["memory"] },
      refusals: [{ version: 2, controllers: ["pids"], remedy: "cgroup2-controllers" }],
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

describe("in a container with a cgroup namespace", () => {
  const mount = "/sys/fs/cgroup";
  const container = (procs: string) => ({
    "/proc/self/mountinfo": `30 24 0:26 / ${mount} rw - cgroup2 cgroup2 rw,nsdelegate\n`,
    "/proc/self/cgroup": "0::/\n",
    [`${mount}/cgroup.controllers`]: "cpu memory pids",
    [`${mount}/cgroup.subtree_control`]: "",
    [`${mount}/cgroup.procs`]: procs,
    [`${mount}/cgroup.type`]: "domain", // which the root of the whole hierarchy has not
  });
  const survey = (tree: Record<string, string>, refusal: string | null = null) => {
    const files = readOnlyFor(fakeHost(tree).files, () => refusal);
    return surveyCgroups({ files, uid: 7, pid: 1, wanted: ["memory", "pids"] });
  };

  test("its first process, alone and with a subtree of its own, makes room", () => {
    expect(survey(container("1\n"))).toMatchObject({
      facts: { kind: "cgroup2", parent: mount, controllers: ["memory", "pids"] },
      place: { moveSelf: true, toEnable: ["memory", "pids"] },
    });
  });

  test("started by a shell that stays: no controllers, and why", () => {
    expect(survey(container("1\n8\n"))).toMatchObject({
      facts: { kind: "cgroup2", controllers: [] },
      refusals: [{ controllers: ["memory", "pids"], remedy: "cgroup2-processes" }],
    });
  });

  test.each([
    ["EROFS", "cgroup-read-only"],
    ["EACCES", "cgroup2-delegation"],
  ] as const)("where writing gives %s: none", (refusal, remedy) => {
    expect(survey(container("1\n"), refusal)).toMatchObject({ facts: { kind: "none" }, refusals: [{ remedy }] });
  });

  test("a manager of the host's that is seen through a mounted runtime folder only is none of ours", () => {
    const part = container("1\n8\n");
    const tree = { ...part, "/run/user/7/systemd/private": "" };
    expect(survey(tree).facts).not.toHaveProperty("scope");
    const elsewhere = {
      ...tree,
      "/proc/self/mountinfo": `30 24 0:26 /machine/x ${mount} rw - cgroup2 cgroup2 rw\n`,
      "/proc/self/cgroup": "0::/machine/x\n",
    };
    expect(survey(elsewhere).facts).toMatchObject({ kind: "cgroup2", parent: mount, controllers: [] });
  });
});

describe("scopes of a user's manager of systemd", () => {
  const mount = "/sys/fs/cgroup";
  const manager = `${mount}/user.slice/user-7.slice/user@7.service`;
  const session = `${mount}/user.slice/user-7.slice/session-3.scope`;
  const group = (path: string, controllers: string, procs = "") => ({
    [`${path}/cgroup.controllers`]: controllers,
    [`${path}/cgroup.subtree_control`]: controllers,
    [`${path}/cgroup.procs`]: procs,
    [`${path}/cgroup.type`]: "domain",
  });
  const login = {
    "/proc/self/mountinfo": `30 24 0:26 / ${mount} rw - cgroup2 cgroup2 rw\n`,
    "/proc/self/cgroup": "0::/user.slice/user-7.slice/session-3.scope\n",
    ...group(session, "memory pids", "1\n"),
    ...group(manager, "memory pids"),
    [`${manager}/init.scope/cgroup.procs`]: "812\n",
    "/run/user/7/systemd/private": "",
  };
  const survey = (tree: Record<string, string>, options: Partial<CgroupSurveyOptions> = {}) => {
    const files = readOnlyFor(fakeHost({ ...login, ...tree }).files, (path) => (path.startsWith(manager) ? null : "EACCES"));
    return surveyCgroups({ files, uid: 7, pid: 1, wanted: ["memory", "pids"], ...options });
  };

  test("a login has nothing else: one for each run", () => {
    expect(survey({})).toEqual({
      facts: { kind: "cgroup2", parent: `${manager}/app.slice`, controllers: ["memory", "pids"], scope: true },
      place: null,
      refusals: [],
    });
  });

  test("what the manager was not given is told", () => {
    expect(survey({}, { wanted: ["memory", "cpu"] })).toMatchObject({
      facts: { controllers: ["memory"], scope: true },
      refusals: [{ path: manager, controllers: ["cpu"], remedy: "cgroup2-controllers" }],
    });
  });

  test("without the memory controller it is none, and the refusal is the manager's", () => {
    expect(survey({ [`${manager}/cgroup.controllers`]: "pids" })).toMatchObject({
      facts: { kind: "none", reason: expect.stringContaining("was not given memory from above") },
      refusals: [{ path: manager, controllers: ["memory"], remedy: "cgroup2-controllers" }],
    });
  });

  test("a shell within a unit of the manager's needs none", () => {
    const tree = {
      "/proc/self/cgroup": "0::/user.slice/user-7.slice/user@7.service/app.slice/terminal.scope\n",
      ...group(`${manager}/app.slice`, "memory pids"),
      ...group(`${manager}/app.slice/terminal.scope`, "memory pids", "1\n2\n"),
      [`${manager}/app.slice/terminal.scope/cgroup.subtree_control`]: "",
    };
    expect(survey(tree).facts).toEqual({ kind: "cgroup2", parent: manager, controllers: ["memory", "pids"] });
  });

  test.each([
    ["a manager that this pid namespace does not show", { [`${manager}/init.scope/cgroup.procs`]: "0\n0\n" }, {}],
    ["no manager", { [`${manager}/init.scope/cgroup.procs`]: "" }, {}],
    ["a configured parent", {}, { config: { parent: session } }],
    ["cgroup1 by configuration", {}, { config: { use: "cgroup1" } }],
    ["none by configuration", {}, { config: { use: "none" } }],
  ] as const)("%s: none", (_name, tree, options) => expect(survey(tree, options).facts.kind).toBe("none"));
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
