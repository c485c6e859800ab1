// Ids, capabilities, set-user-id programs, devices and the kernel's knobs.
import { existsSync, statSync } from "node:fs";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutside, attackTest, ownNamespaces, profileFile, withoutSeccomp } from "../helpers/attack.ts";

const program = "attack-privilege";

/** A set-user-id program of root's that this host has: su and passwd are everywhere. */
const setuidProgram = ["/usr/bin/su", "/usr/bin/passwd", "/bin/su"].find(
  (path) => existsSync(path) && (statSync(path).mode & 0o4000) !== 0,
);

needs("userns", "setuid-program")("starts a set-user-id program of root's", async () => {
  const path = setuidProgram as string;
  const outside = attackOutside(program, ["setuid", path]);
  expect(outside.of("effective-uid").result, "control: outside it becomes root").toBe(0);
  for (const run of [[], withoutSeccomp()]) {
    const inside = await attackInSandbox(program, ["setuid", path], { run });
    expect(inside.tries.of("real-uid").result).toBe(1000);
    expect(inside.tries.of("effective-uid").result).toBe(1000);
  }
});

needs("userns")("gives a program of its own the set-user-id bit: the mount does not honour it", async () => {
  const outside = attackOutside(program, ["make-setuid"]);
  expect(outside.of("chmod").errno).toBe(0);
  const inside = await attackInSandbox(program, ["make-setuid"]);
  expect(inside.tries.of("nosuid").result).toBe(1);
  expect(inside.tries.of("nodev").result).toBe(1);
  expect(inside.tries.outcomes()["chmod"]).toMatch(/^(OK|EPERM)$/);
});

attackTest("becomes another user", {
  program,
  args: ["ids"],
  refused: {
    "setuid-0": /^(EINVAL|EPERM)$/,
    "setgid-0": /^(EINVAL|EPERM)$/,
    "setuid-1": /^(EINVAL|EPERM)$/,
    setgroups: "EPERM",
    "setgroups-none": "EPERM",
    "setfsuid-0": "EPERM",
  },
  succeeds: { "setuid-0": "OK", "setgid-0": "OK", "setfsuid-0": "OK" },
  control: "own-namespaces",
});

needs("userns")("holds no capability and cannot get one", async () => {
  const none = "0000000000000000";
  const inside = await attackInSandbox(program, ["capabilities"]);
  const text = (name: string): string | undefined => inside.tries.of(name).text;
  expect([text("effective"), text("permitted"), text("inheritable")]).toEqual([none, none, none]);
  expect(inside.tries.of("ambient").result).toBe(0);
  expect(inside.tries.of("bounding").result).toBe(0);
  expect(inside.tries.of("no-new-privs").result).toBe(1);
  expect(inside.tries.outcomes()).toMatchObject({
    capset: "EPERM",
    "ambient-raise": "EPERM",
    "clear-no-new-privs": "EINVAL",
    "keep-caps": "EPERM",
  });
  const control = attackOutside(program, ["capabilities"], { prefix: ownNamespaces });
  expect(control.outcomes()).toMatchObject({ capset: "OK", "ambient-raise": "OK" });
});

needs("userns")("uid 0 inside holds nothing either", async () => {
  const inside = await attackInSandbox(program, ["capabilities"], { run: ["-u", "0:0"] });
  expect(inside.tries.of("effective").text).toBe("0000000000000000");
  expect(inside.tries.of("permitted").text).toBe("0000000000000000");
  expect(inside.tries.outcomes()).toMatchObject({ capset: "EPERM", "ambient-raise": "EPERM" });
});

needs("userns")("makes and opens devices", async () => {
  const tries = ["mknod-mem", "mknod-kmsg", "mknod-disk", "mknod-virtio", "mknod-null", "mknod-tty"];
  const inside = await attackInSandbox(program, ["devices"]);
  const outcomes = inside.tries.outcomes();
  for (const name of tries) expect(outcomes[name], name).toBe("EPERM");
  // A 0:0 node is what overlayfs calls a whiteout: anybody may make one, nobody can open it.
  expect(outcomes["open-whiteout"]).not.toBe("OK");
  // No ordinary user anywhere may make one: the control is that the call, with a type that is allowed, works.
  const control = await attackInSandbox("attack-out", ["fifo", "/work/f"]);
  expect(control.tries.outcomes()).toEqual({ fifo: "OK" });
  const powerful = await attackInSandbox(program, ["devices"], {
    run: [
      "-p",
      profileFile({
        user: { uid: 0, gid: 0 },
        capabilities: ["CAP_MKNOD"],
        comments: { capabilities: "of no use: the user namespace does not own the devices" },
      }),
    ],
  });
  for (const name of tries) expect(powerful.tries.outcomes()[name], name).toBe("EPERM");
});

needs("userns")("finds only harmless devices in /dev", async () => {
  const inside = await attackInSandbox("attack-files", ["list", "/dev"]);
  expect(inside.tries.of("list").text?.trim().split(" ").sort()).toEqual(
    ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"].sort(),
  );
  const outside = attackOutside("attack-files", ["list", "/dev"]);
  expect(outside.of("list").errno).toBe(0);
});

const knobs: Readonly<Record<string, string>> = {
  "/proc/sys/kernel/core_pattern": "|/work/pwned",
  "/proc/sys/kernel/hostname": "pwned",
  "/proc/sys/net/ipv4/ip_unprivileged_port_start": "0",
  "/proc/sys/user/max_user_namespaces": "1000",
  "/proc/sysrq-trigger": "h",
  "/proc/self/oom_score_adj": "-1000",
};

needs("userns")("sets the kernel's knobs: core pattern, sysrq, sysctls", async () => {
  const args = ["sysctl", ...Object.entries(knobs).flat()];
  const inside = await attackInSandbox(program, args);
  const absent = Object.fromEntries(Object.keys(knobs).map((path) => [path, path.startsWith("/proc/self") ? "EACCES" : "ENOENT"]));
  expect(inside.tries.outcomes()).toEqual(absent);
  // With a whole /proc they are there, and read-only (or root's) all the same: also for uid 0 with every capability.
  for (const run of [["-p", profileFile({ proc: "full", comments: { proc: "to see the knobs" } })]]) {
    const full = await attackInSandbox(program, args, { run });
    for (const [path, outcome] of Object.entries(full.tries.outcomes()))
      expect(outcome, path).toMatch(existsSync(path) ? /^(EACCES|EROFS|EPERM)$/ : /^ENOENT$/); // a kernel may be built without it
  }
  // Those that belong to a namespace can be set by whoever owns one: the writes themselves are good.
  const control = attackOutside(
    program,
    ["sysctl", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", "/proc/sys/user/max_user_namespaces", "1000"],
    { prefix: ownNamespaces },
  );
  expect(new Set(Object.values(control.outcomes()))).toEqual(new Set(["OK"]));
});
