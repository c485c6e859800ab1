import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { processInfo, startTimeOf } from "../../../cli/host/process-info.ts";
import { findRunCgroups, processesIn, removeLeftCgroups, removeRunCgroup, whyStale } from "../../../cli/host/run-cgroups.ts";
import {
  isPrivate,
  makeRunFolder,
  runFolderPattern,
  runtimeCandidates,
  runtimeDirectory,
  runtimeFallbacks,
} from "../../../cli/host/runtime-dir.ts";
import { fakeHost, type TreeEntry } from "./tree.ts";

const uid = process.getuid?.() ?? 0;
/** Above the largest id that a Linux kernel gives (PID_MAX_LIMIT). */
const deadPid = 4_194_305;
const now = Date.now();

describe("whyStale", () => {
  const stale = (pid: number | null, procs: string, tree: Record<string, TreeEntry> = {}, ageMs = 0) => {
    const { root } = fakeHost({ "/g/cgroup.procs": procs, ...tree });
    const path = join(root, "g");
    utimesSync(path, (now - ageMs) / 1000, (now - ageMs) / 1000);
    return whyStale({ path, pid }, uid, now);
  };

  test("its process is gone", () => {
    expect(stale(deadPid, "")).toBe(`process ${deadPid} is gone`);
    expect(stale(deadPid, "77\n")).toBe(`process ${deadPid} is gone`);
  });
  test("its process lives", () => expect(stale(process.pid, "77\n")).toBeNull());
  test("its process lives, and its task has not come yet", () => expect(stale(process.pid, "", {}, 1000)).toBeNull());
  test("forgotten by a process that lives on", () => expect(stale(process.pid, "", {}, 3_600_000)).toMatch(/^empty although/));
  test("in use below, however old", () => expect(stale(process.pid, "", { "/g/exec-1/cgroup.procs": "77\n" }, 3_600_000)).toBeNull());
  test("of another pid namespace, whose numbers say nothing here", () => expect(stale(deadPid, "0\n")).toBeNull());
  test("the callers' cgroup, empty and not", () => {
    expect(stale(null, "")).toBe("empty");
    expect(stale(null, `${process.pid}\n`)).toBeNull();
  });
  test("another user's process has the number now", () => {
    if (uid !== 0) expect(stale(1, "")).toBe("process 1 is another user's now");
    else expect(whyStale({ path: "/proc", pid: 1 }, 12345, now)).toBe("process 1 is another user's now");
  });
});

test("finds the cgroups of runs anywhere below the mounts, and nothing else", () => {
  const { root } = fakeHost({
    "/m/a.slice/belljar-run-12-x/exec-1": null,
    "/m/belljar-caller": null,
    "/m/other/belljar-runner-1": null,
    "/m/belljar-run-x-1": null,
  });
  const { files } = fakeHost({
    "/proc/self/mountinfo": `30 24 0:26 / ${root}/m rw - cgroup2 none rw\n31 24 0:27 / ${root}/n rw - tmpfs none rw\n`,
  });
  expect(findRunCgroups(files, uid)).toEqual([
    { path: join(root, "m/a.slice/belljar-run-12-x"), pid: 12 },
    { path: join(root, "m/belljar-caller"), pid: null },
  ]);
  expect(findRunCgroups(files, uid + 1)).toEqual([]);
});

test("removal kills what is inside and takes the tree, and says what stays", async () => {
  const child = spawn("sleep", ["60"]);
  await once(child, "spawn");
  const ended = once(child, "exit");
  const { root } = fakeHost({ "/g/inner": null });
  writeFileSync(join(root, "g/cgroup.procs"), `${child.pid}\n`);
  // A plain folder: its file keeps it from going away, as a refusal of the kernel would.
  expect(await removeRunCgroup(join(root, "g"), 50)).toEqual({ path: join(root, "g"), killed: 1, error: "ENOTEMPTY" });
  expect((await ended)[1]).toBe("SIGKILL");
  expect(existsSync(join(root, "g/inner"))).toBe(false);
});

test("what a killed launcher left in each parent of the plan", async () => {
  const { root } = fakeHost({ "/a/belljar-run-1-x/init": null, "/a/belljar-run-1-x/exec-1": null, "/b": null });
  expect(await removeLeftCgroups([join(root, "a"), join(root, "b")], "belljar-run-1-x")).toEqual([]);
  expect(existsSync(join(root, "a/belljar-run-1-x"))).toBe(false);
});

test("processes of a tree", () => {
  const { root } = fakeHost({ "/g/cgroup.procs": "1\n2\n", "/g/x/cgroup.procs": "3\n", "/g/x/y/cgroup.procs": "" });
  expect(processesIn(join(root, "g"))).toEqual([1, 2, 3]);
});

describe("processes", () => {
  test("this one", () => {
    expect(processInfo(process.pid)).toMatchObject({ uid });
    expect(startTimeOf(process.pid)).toBeGreaterThan(0);
  });
  test("none", () => {
    expect(processInfo(deadPid)).toBeNull();
    expect(startTimeOf(deadPid)).toBeNull();
  });
  test("a zombie is no process any more", async () => {
    // A shell that never waits: its child stays a zombie as long as it lives.
    const shell = spawn(
      "python3",
      [
        "-c",
        "import os,sys\np=os.fork()\nif p==0: os._exit(0)\nos.waitid(os.P_PID,p,os.WEXITED|os.WNOWAIT)\nprint(p,flush=True)\nsys.stdin.read()",
      ],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const [line] = await once(shell.stdout, "data");
    expect(processInfo(Number(String(line)))).toBeNull();
    shell.stdin.end();
    await once(shell, "exit");
  });
});

describe("folders of runs", () => {
  afterEach(() => void vi.unstubAllEnvs());
  /** A host whose temporary directory is private to the test. */
  const place = () => {
    const { root } = fakeHost({ "/tmp": null, "/elsewhere": null });
    vi.stubEnv("TMPDIR", join(root, "tmp"));
    mkdirSync(join(root, "run"), { mode: 0o700 });
    return root;
  };

  test("in the session's folder when that is private, named so that gc can judge them", () => {
    const root = place();
    const folder = makeRunFolder({ XDG_RUNTIME_DIR: join(root, "run") });
    expect(folder.startsWith(join(root, "run/belljar/run-"))).toBe(true);
    const [, pid, startTime] = runFolderPattern.exec(basename(folder)) ?? [];
    expect([pid, startTime]).toEqual([String(process.pid), String(startTimeOf(process.pid))]);
    expect(isPrivate(folder, uid)).toBe(true);
  });

  test("a session's folder that others can enter is not used", () => {
    const root = place();
    chmodSync(join(root, "run"), 0o755);
    expect(runtimeDirectory({ XDG_RUNTIME_DIR: join(root, "run") })).toBe(join(root, `tmp/belljar-${uid}`));
  });

  test("nor is a folder of ours that has been opened", () => {
    const root = place();
    mkdirSync(join(root, "run/belljar"), { mode: 0o755 });
    expect(runtimeDirectory({ XDG_RUNTIME_DIR: join(root, "run") })).toBe(join(root, `tmp/belljar-${uid}`));
  });

  test("a link that a stranger put under the temporary directory is passed over for a fresh folder", () => {
    const root = place();
    symlinkSync(join(root, "elsewhere"), join(root, `tmp/belljar-${uid}`));
    const folder = runtimeDirectory({});
    expect(folder).toMatch(new RegExp(`^${join(root, `tmp/belljar-${uid}-`)}.{6}$`));
    expect(isPrivate(folder, uid)).toBe(true);
    // One for all that comes, and looked into by whoever looks for a pool.
    expect(runtimeDirectory({})).toBe(folder);
    expect(runtimeCandidates({}, uid)).toEqual([join(root, `tmp/belljar-${uid}`), folder]);
  });

  test("a folder that a stranger named like a fresh one is not used", () => {
    const root = place();
    symlinkSync(join(root, "elsewhere"), join(root, `tmp/belljar-${uid}`));
    mkdirSync(join(root, `tmp/belljar-${uid}-AAAAAA`), { mode: 0o755 });
    symlinkSync(join(root, "run"), join(root, `tmp/belljar-${uid}-BBBBBB`));
    expect(runtimeFallbacks(uid)).toEqual([]);
    expect(runtimeCandidates({}, uid)).toEqual([join(root, `tmp/belljar-${uid}`)]);
  });
});
