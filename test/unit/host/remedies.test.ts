import { describe, expect, test } from "vitest";
import { type CauseContext, causeContext } from "../../../cli/host/causes.ts";
import { cgroupRemedy } from "../../../cli/host/cgroup-remedies.ts";
import type { CgroupRefusal } from "../../../cli/host/cgroup-v2.ts";
import { errnoName, findRemedy, remedyFor, type Symptom } from "../../../cli/host/remedies.ts";
import { fakeHost, type TreeEntry } from "./tree.ts";

const plain: Record<string, TreeEntry> = {
  "/proc/self/mountinfo": "24 1 8:1 / / rw - ext4 /dev/sda rw\n25 24 0:5 / /proc rw - proc proc rw\n",
  "/proc/self/status": "NoNewPrivs:\t0\nSeccomp:\t0\n",
  "/proc/sys/user/max_user_namespaces": "15000\n",
  "/etc/subuid": "alice:100000:65536\n",
  "/etc/subgid": "alice:100000:65536\n",
};

function context(tree: Record<string, TreeEntry>): CauseContext {
  return { files: fakeHost({ ...plain, ...tree }).files, uid: 1000, userName: "alice", environment: {} };
}
const at = (step: Symptom["step"], errno: string, text = ""): Symptom => ({ step, errno, text });

/** Each row: what failed, what holds on the host, and what the hint must say. */
const causes: readonly (readonly [name: string, symptom: Symptom, tree: Record<string, TreeEntry>, cause: RegExp, remedy: RegExp])[] = [
  [
    "AppArmor refuses at clone",
    at("clone", "EPERM"),
    { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n" },
    /AppArmor/,
    /apparmor_restrict_unprivileged_userns=0/,
  ],
  [
    "AppArmor takes the privileges later",
    at("privateMounts", "EACCES"),
    { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n" },
    /AppArmor/,
    /docs\/hosts\.md/,
  ],
  [
    "no user namespaces at all",
    at("clone", "ENOSPC"),
    { "/proc/sys/user/max_user_namespaces": "0\n" },
    /max_user_namespaces is 0/,
    /sysctl -w user\.max_user_namespaces=/,
  ],
  [
    "no network namespaces",
    at("clone", "ENOSPC"),
    { "/proc/sys/user/max_net_namespaces": "0\n" },
    /max_net_namespaces is 0/,
    /user\.max_net_namespaces=/,
  ],
  [
    "Debian's switch",
    at("clone", "EPERM"),
    { "/proc/sys/kernel/unprivileged_userns_clone": "0\n" },
    /unprivileged_userns_clone is 0/,
    /unprivileged_userns_clone=1/,
  ],
  ["a chroot", at("clone", "EPERM"), { "/proc/self/mountinfo": "25 24 0:5 / /proc rw - proc proc rw\n" }, /chroot/, /outside the chroot/],
  [
    "a container's filter",
    at("clone", "EPERM"),
    { "/proc/self/status": "NoNewPrivs:\t0\nSeccomp:\t2\n" },
    /seccomp filter/,
    /seccomp=unconfined/,
  ],
  [
    "no room for another filter",
    at("seccomp", "ENOMEM", "filter"),
    { "/proc/self/status": "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t8\n" },
    /under 8 seccomp filters.*32768 instructions/,
    /fewer or smaller filters/,
  ],
  ["SELinux", at("clone", "EACCES"), { "/sys/fs/selinux/enforce": "1" }, /SELinux/, /ausearch/],
  [
    "the user's process limit",
    at("clone", "EAGAIN"),
    { "/proc/self/limits": "Max processes             100                  100                  processes\n" },
    /100 processes/,
    /ulimit -u/,
  ],
  [
    "no subordinate uids",
    at("mapIds", "EPERM", "/usr/bin/newuidmap"),
    { "/etc/subuid": "bob:100000:65536\n" },
    /\/etc\/subuid grants alice no ids|not installed/,
    /--add-subuids 165536-231071|install/,
  ],
  [
    "a masked /proc",
    at("filesystem", "EPERM", "/proc"),
    { "/proc/self/mountinfo": `${plain["/proc/self/mountinfo"]}26 25 0:6 / /proc/kcore rw - tmpfs tmpfs rw\n` },
    /'\/proc\/kcore'/,
    /systempaths=unconfined/,
  ],
  [
    "a read-only /proc/sys",
    at("forbidUserNamespaces", "EROFS"),
    { "/proc/self/mountinfo": `${plain["/proc/self/mountinfo"]}26 25 0:5 /sys /proc/sys ro - proc proc rw\n` },
    /'\/proc\/sys' is mounted read-only/,
    /unmask=ALL/,
  ],
  [
    "Landlock switched off",
    at("landlock", "EOPNOTSUPP"),
    { "/sys/kernel/security/lsm": "lockdown,yama\n" },
    /Landlock/,
    /lsm=landlock,lockdown,yama/,
  ],
  ["no /dev/fuse", at("companions", "ENOENT"), {}, /\/dev\/fuse does not exist/, /modprobe fuse/],
];

describe("findRemedy", () => {
  test.each(causes)("%s", (_, symptom, tree, cause, remedy) => {
    const found = findRemedy(symptom, context(tree));
    expect(found?.cause).toMatch(cause);
    expect(found?.remedy).toMatch(remedy);
  });

  test.each(
    causes.filter(([, { step }]) => step === "clone" || step === "filesystem" || step === "forbidUserNamespaces" || step === "landlock"),
  )("says nothing of %s where the cause does not hold", (_, symptom) =>
    expect(findRemedy(symptom, context({ "/proc/self/limits": "", "/sys/kernel/security/lsm": "landlock" }))).toBeNull(),
  );

  test.each(causes)("says nothing of %s for another step or errno", (_, symptom, tree) => {
    expect(findRemedy({ ...symptom, step: "rlimits" }, context(tree))).toBeNull();
    if (symptom.step === "clone") expect(findRemedy({ ...symptom, errno: "ENOMEM" }, context(tree))).toBeNull();
  });

  test("a setting of the kernel comes before the guess that a filter refuses", () => {
    const both = { "/proc/sys/kernel/unprivileged_userns_clone": "0", "/proc/self/status": "Seccomp:\t2\n" };
    expect(findRemedy(at("clone", "EPERM"), context(both))?.cause).toMatch(/unprivileged_userns_clone/);
  });

  test("binfmt_misc over its own empty directory does not hide /proc", () => {
    const tree = { "/proc/self/mountinfo": `${plain["/proc/self/mountinfo"]}26 25 0:6 / /proc/sys/fs/binfmt_misc rw - autofs x rw\n` };
    expect(findRemedy(at("filesystem", "EPERM", "/proc"), context(tree))).toBeNull();
  });

  test("a bind that fails for another reason than /proc has no hint about /proc", () => {
    const tree = { "/proc/self/mountinfo": `${plain["/proc/self/mountinfo"]}26 25 0:6 / /proc/kcore rw - tmpfs tmpfs rw\n` };
    expect(findRemedy(at("filesystem", "EPERM", "/data"), context(tree))).toBeNull();
  });
});

test("remedyFor words the record of a run, and is silent about one without a failed step", () => {
  const host = context({ "/proc/sys/user/max_user_namespaces": "0" });
  expect(remedyFor({ errorStep: "clone", errorErrno: 28, errorText: "" }, host)).toMatch(
    /^user\.max_user_namespaces is 0: sudo sysctl -w /,
  );
  expect(remedyFor({ errorStep: "none", errorErrno: 0, errorText: "" }, host)).toBeNull();
});

test.each([
  [1, "EPERM"],
  [11, "EAGAIN"],
  [95, "EOPNOTSUPP"],
  [28, "ENOSPC"],
  [99999, "99999"],
])("errnoName(%i)", (number, name) => expect(errnoName(number)).toBe(name));

describe("cgroupRemedy", () => {
  const refusal = (remedy: CgroupRefusal["remedy"], more: Partial<CgroupRefusal> = {}): CgroupRefusal => ({
    version: 2,
    controllers: ["memory"],
    path: "/sys/fs/cgroup/a",
    reason: "is so",
    remedy,
    ...more,
  });
  const unified = {
    "/proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    "/sys/fs/cgroup/cgroup.controllers": "memory pids",
  };

  test("one command for all missing v1 folders", () => {
    const all = ["memory", "pids"].map((name) =>
      refusal("cgroup1-folder", { version: 1, controllers: [name], path: `/c/${name}/belljar-1000` }),
    );
    const [first] = all;
    if (first === undefined) throw new Error("unreachable");
    expect(cgroupRemedy(first, all, context({})).remedy).toBe(
      "for d in /c/memory/belljar-1000 /c/pids/belljar-1000; do sudo mkdir -p $d; sudo chown -R alice $d; done",
    );
  });

  test("without a user manager of systemd's, root delegates", () => {
    expect(cgroupRemedy(refusal("cgroup2-delegation"), [], context(unified)).remedy).toMatch(
      /^as root: echo "\+memory" > \/sys\/fs\/cgroup\/cgroup\.subtree_control; mkdir -p \/sys\/fs\/cgroup\/belljar-1000\/session; /,
    );
  });

  test("with systemd, it is systemd's to give: to a service, or by a manager for the user", () => {
    const systemd = { ...unified, "/run/systemd/system": null };
    const at = (path: string) => cgroupRemedy(refusal("cgroup2-delegation", { path }), [], context(systemd)).remedy;
    expect(at("/sys/fs/cgroup/system.slice/judge.service")).toBe("Delegate=yes in the [Service] section of judge.service");
    expect(at("/sys/fs/cgroup/system.slice/judge.service/main")).toBe("Delegate=yes in the [Service] section of judge.service");
    expect(at("/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope")).toMatch(/^sudo loginctl enable-linger alice /);
  });

  test("controllers from above: level by level, or by the user manager's unit, or not at all", () => {
    const nested = refusal("cgroup2-controllers", { path: "/sys/fs/cgroup/a/b" });
    expect(cgroupRemedy(nested, [], context(unified)).remedy).toBe(
      'as root: for d in /sys/fs/cgroup /sys/fs/cgroup/a; do echo "+memory" > $d/cgroup.subtree_control; done',
    );
    const managed = refusal("cgroup2-controllers", { path: "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice" });
    expect(cgroupRemedy(managed, [], context(unified)).remedy).toMatch(/Delegate=cpu cpuset io memory pids/);
    expect(cgroupRemedy({ ...nested, controllers: ["cpuset"] }, [], context(unified)).remedy).toMatch(/its root has no cpuset/);
  });

  test("a memory controller that is switched off at boot comes before all else", () => {
    const tree = { "/proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n" };
    expect(cgroupRemedy(refusal("cgroup2-delegation"), [], context(tree)).remedy).toMatch(/cgroup_enable=memory/);
  });
});

test("the context of this process", () => {
  expect(causeContext("me")).toMatchObject({ uid: process.getuid?.(), userName: "me" });
});
