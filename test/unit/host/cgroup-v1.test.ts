import { describe, expect, test } from "vitest";
import { surveyCgroup1 } from "../../../cli/host/cgroup-v1.ts";
import { parseMountInfo } from "../../../cli/host/mountinfo.ts";
import { fakeHost, readOnlyFor, type TreeEntry } from "./tree.ts";

const uid = 1234;
const line = (path: string, controllers: string, options = "rw") =>
  `31 24 0:27 / ${path} ${options},relatime - cgroup cgroup rw,${controllers}`;
const own = new Map([
  ["memory", "/user"],
  ["cpu", "/user"],
  ["cpuacct", "/user"],
  ["pids", "/user"],
]);

const dir = (path: string, more: Record<string, TreeEntry> = {}): Record<string, TreeEntry> => ({
  [`${path}/cgroup.procs`]: "",
  ...Object.fromEntries(Object.entries(more).map(([name, entry]) => [`${path}/${name}`, entry])),
});

function survey(
  lines: readonly string[],
  tree: Record<string, TreeEntry>,
  writable: (path: string) => boolean,
  configured?: Record<string, string>,
) {
  const { files } = fakeHost(tree);
  const seen = readOnlyFor(files, (path) => (writable(path) ? null : "EACCES"));
  return surveyCgroup1(seen, { mounts: parseMountInfo(lines.join("\n")), ownPaths: own, uid, configured });
}
const isFolder = (path: string) => path.includes(`/belljar-${uid}`);

describe("surveyCgroup1", () => {
  test("takes the folder at the top, and tells whether swap is accounted", () => {
    const tree = {
      ...dir("/c/memory/belljar-1234", { "memory.memsw.limit_in_bytes": "0" }),
      ...dir("/c/pids/belljar-1234"),
      ...dir("/c/memory/user"),
      ...dir("/c/pids/user"),
    };
    expect(survey([line("/c/memory", "memory"), line("/c/pids", "pids")], tree, isFolder)).toEqual({
      hierarchies: [
        { parent: "/c/memory/belljar-1234", controllers: ["memory"], swap: true },
        { parent: "/c/pids/belljar-1234", controllers: ["pids"], swap: false },
      ],
      refusals: [],
    });
  });

  test("prefers the own cgroup where a directory can be made in it", () => {
    const tree = { ...dir("/c/memory/belljar-1234"), ...dir("/c/memory/user") };
    expect(survey([line("/c/memory", "memory")], tree, () => true).hierarchies).toMatchObject([{ parent: "/c/memory/user" }]);
  });

  test("handles controllers that are mounted together once, also when mounted twice", () => {
    const tree = dir("/c/cpu,cpuacct/belljar-1234");
    const twice = [line("/c/cpu,cpuacct", "cpu,cpuacct"), line("/c/again", "cpu,cpuacct")];
    expect(survey(twice, tree, isFolder).hierarchies).toEqual([
      { parent: "/c/cpu,cpuacct/belljar-1234", controllers: ["cpu", "cpuacct"], swap: false },
    ]);
  });

  test("says of each hierarchy what is in the way", () => {
    const lines = [line("/c/memory", "memory"), line("/c/pids", "pids"), line("/c/cpuacct", "cpuacct", "ro")];
    expect(survey(lines, dir("/c/pids/belljar-1234"), () => false)).toMatchObject({
      hierarchies: [],
      refusals: [
        { controllers: ["memory"], path: "/c/memory/belljar-1234", reason: "does not exist", remedy: "cgroup1-folder" },
        { controllers: ["pids"], reason: "this user cannot write it", remedy: "cgroup1-folder" },
        { controllers: ["cpuacct"], path: "/c/cpuacct", remedy: "cgroup-read-only" },
      ],
    });
  });

  test("keeps out of a hierarchy whose children would have no CPU", () => {
    const empty = dir("/c/all/belljar-1234", { "cgroup.clone_children": "0\n", "cpuset.cpus": "\n", "cpuset.mems": "\n" });
    const filled = dir("/c/all/belljar-1234", { "cgroup.clone_children": "1\n", "cpuset.cpus": "0-1\n", "cpuset.mems": "0\n" });
    const lines = [line("/c/all", "cpuset,memory,pids")];
    expect(survey(lines, empty, isFolder)).toMatchObject({ hierarchies: [], refusals: [{ remedy: "cgroup1-cpuset" }] });
    expect(survey(lines, filled, isFolder).hierarchies).toMatchObject([{ controllers: ["memory", "pids"] }]);
  });

  test("a configured folder replaces both places, and its refusal names the configuration", () => {
    const tree = { ...dir("/c/memory/judge"), ...dir("/c/memory/user") };
    const configured = { memory: "/c/memory/judge" };
    expect(survey([line("/c/memory", "memory")], tree, () => true, configured).hierarchies).toMatchObject([{ parent: "/c/memory/judge" }]);
    expect(survey([line("/c/memory", "memory")], tree, (path) => !path.includes("judge"), configured)).toMatchObject({
      hierarchies: [],
      refusals: [{ remedy: "cgroup-config", path: "/c/memory/judge" }],
    });
  });
});
