import { describe, expect, test } from "vitest";
import { surveyCgroup2 } from "../../../cli/host/cgroup-v2.ts";
import { parseMountInfo } from "../../../cli/host/mountinfo.ts";
import { fakeHost, readOnlyFor, type TreeEntry } from "./tree.ts";

const mount = "/sys/fs/cgroup";
const mounts = parseMountInfo(`30 24 0:26 / ${mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n`);
const wanted = ["memory", "pids", "cpu"];
const pid = 4242;

interface Group {
  readonly controllers?: string;
  readonly enabled?: string;
  readonly procs?: string;
  readonly type?: string;
}

function cgroup(
  path: string,
  { controllers = "cpu memory pids", enabled = "", procs = "", type = "domain" }: Group,
): Record<string, TreeEntry> {
  return {
    [`${mount}${path}/cgroup.controllers`]: controllers,
    [`${mount}${path}/cgroup.subtree_control`]: enabled,
    [`${mount}${path}/cgroup.procs`]: procs,
    ...(path === "" ? {} : { [`${mount}${path}/cgroup.type`]: type }),
  };
}

/** Paths that this user owns begin so. */
function survey(
  tree: Record<string, TreeEntry>,
  options: { readonly own: string; readonly delegated: string; readonly configured?: string; readonly refusal?: string },
) {
  const { files } = fakeHost(tree);
  const seen = readOnlyFor(files, (path) => (path.startsWith(mount + options.delegated) ? null : (options.refusal ?? "EACCES")));
  return surveyCgroup2(seen, { mounts, ownPath: options.own, pid, wanted, configured: options.configured });
}

describe("surveyCgroup2", () => {
  test("takes the delegated parent of the leaf that the caller stands in", () => {
    const tree = {
      ...cgroup("", {}),
      ...cgroup("/delegated", { enabled: "memory pids" }),
      ...cgroup("/delegated/session", { procs: `1\n${pid}\n` }),
    };
    const { place, refusals } = survey(tree, { own: "/delegated/session", delegated: "/delegated" });
    expect(place).toEqual({ parent: `${mount}/delegated`, enabled: ["memory", "pids"], toEnable: ["cpu"], moveSelf: false });
    expect(refusals).toEqual([]);
  });

  test("leaves a cgroup in which it is alone, so that controllers can be enabled there", () => {
    const tree = { ...cgroup("", {}), ...cgroup("/svc", { procs: `${pid}\n` }) };
    const { place } = survey(tree, { own: "/svc", delegated: "/svc" });
    expect(place).toEqual({ parent: `${mount}/svc`, enabled: [], toEnable: ["memory", "pids", "cpu"], moveSelf: true });
  });

  test("stays where it is when the parent of its leaf gives as much", () => {
    const tree = { ...cgroup("", {}), ...cgroup("/d", { enabled: "memory pids cpu" }), ...cgroup("/d/session", { procs: `${pid}\n` }) };
    expect(survey(tree, { own: "/d/session", delegated: "/d" }).place).toMatchObject({ parent: `${mount}/d`, moveSelf: false });
  });

  test("stays within its scope, and so within its limits, when a slice above gives as much", () => {
    const tree = {
      ...cgroup("", {}),
      ...cgroup("/app.slice", { enabled: "memory pids cpu" }),
      ...cgroup("/app.slice/run.scope", { procs: `${pid}\n` }),
    };
    const { place } = survey(tree, { own: "/app.slice/run.scope", delegated: "/app.slice" });
    expect(place).toMatchObject({ parent: `${mount}/app.slice/run.scope`, moveSelf: true });
  });

  test("moves nobody else: a leaf that also holds a shell gives no controllers, and says why", () => {
    const tree = { ...cgroup("", {}), ...cgroup("/scope", { procs: `77\n${pid}\n` }) };
    const { place, refusals } = survey(tree, { own: "/scope", delegated: "/scope" });
    expect(place).toEqual({ parent: `${mount}/scope`, enabled: [], toEnable: [], moveSelf: false });
    expect(refusals).toMatchObject([{ remedy: "cgroup2-processes", controllers: wanted, path: `${mount}/scope` }]);
  });

  test("uses what a slice of systemd has, and never enables more there", () => {
    const tree = {
      ...cgroup("", {}),
      ...cgroup("/app.slice", { enabled: "memory pids" }),
      ...cgroup("/app.slice/term.scope", { procs: `77\n${pid}\n` }),
    };
    const { place, refusals } = survey(tree, { own: "/app.slice/term.scope", delegated: "/app.slice" });
    expect(place).toEqual({ parent: `${mount}/app.slice`, enabled: ["memory", "pids"], toEnable: [], moveSelf: false });
    expect(refusals).toMatchObject([{ remedy: "cgroup2-processes", controllers: ["cpu"] }]);
  });

  test("tells of a controller that was not given from above", () => {
    const tree = {
      ...cgroup("", {}),
      ...cgroup("/d", { controllers: "memory", enabled: "memory" }),
      ...cgroup("/d/session", { controllers: "memory", procs: `1\n${pid}\n` }),
    };
    const { place, refusals } = survey(tree, { own: "/d/session", delegated: "/d" });
    expect(place).toMatchObject({ parent: `${mount}/d`, enabled: ["memory"], toEnable: [] });
    expect(refusals).toMatchObject([{ remedy: "cgroup2-controllers", controllers: ["pids", "cpu"] }]);
  });

  test.each([
    ["EACCES", "cgroup2-delegation"],
    ["EROFS", "cgroup-read-only"],
  ])("finds nothing where writing gives %s", (refusal, remedy) => {
    const tree = { ...cgroup("", {}), ...cgroup("/user.slice", {}), ...cgroup("/user.slice/session-3.scope", {}) };
    const { place, refusals } = survey(tree, { own: "/user.slice/session-3.scope", delegated: "/nowhere", refusal });
    expect(place).toBeNull();
    expect(refusals).toMatchObject([{ version: 2, remedy, path: `${mount}/user.slice/session-3.scope` }]);
  });

  test("needs cgroup.procs of the common ancestor, not only the directory", () => {
    const { files } = fakeHost({ ...cgroup("", {}), ...cgroup("/d", {}), ...cgroup("/d/session", {}) });
    const seen = readOnlyFor(files, (path) => (path === `${mount}/d` || path === `${mount}/d/session` ? null : "EACCES"));
    expect(surveyCgroup2(seen, { mounts, ownPath: "/d/session", pid, wanted }).place).toBeNull();
  });

  test("passes over a threaded cgroup", () => {
    const tree = { ...cgroup("", {}), ...cgroup("/d", { type: "threaded" }), ...cgroup("/d/session", { procs: "1\n" }) };
    expect(survey(tree, { own: "/d/session", delegated: "/d/none" }).place).toBeNull();
    const whole = survey(tree, { own: "/d/session", delegated: "/d" });
    expect(whole.place).toMatchObject({ parent: `${mount}/d/session` });
  });

  test("a configured parent must contain the caller", () => {
    const tree = { ...cgroup("", {}), ...cgroup("/d", {}), ...cgroup("/d/session", {}), ...cgroup("/other", {}) };
    const where = { own: "/d/session", delegated: "" };
    expect(survey(tree, { ...where, configured: `${mount}/d` }).place).toMatchObject({ parent: `${mount}/d` });
    expect(survey(tree, { ...where, configured: `${mount}/other` })).toMatchObject({
      place: null,
      refusals: [{ remedy: "cgroup-config" }],
    });
  });

  test.each(["/../outside", "/.."])("refuses an own cgroup outside the namespace (%s)", (ownPath) => {
    const { files } = fakeHost(cgroup("", {}));
    expect(surveyCgroup2(files, { mounts, ownPath, pid, wanted })).toMatchObject({
      place: null,
      refusals: [{ remedy: "cgroup2-delegation" }],
    });
  });

  test("sees a part of the hierarchy that is mounted alone", () => {
    const part = parseMountInfo(`30 24 0:26 /docker/abc ${mount} rw - cgroup2 cgroup rw\n`);
    const { files } = fakeHost({
      ...cgroup("", { procs: "1\n" }),
      [`${mount}/cgroup.type`]: "domain",
      ...cgroup("/leaf", { procs: `${pid}\n9\n` }),
    });
    const found = surveyCgroup2(files, { mounts: part, ownPath: "/docker/abc/leaf", pid, wanted });
    expect(found.place).toMatchObject({ parent: `${mount}/leaf` });
  });
});
