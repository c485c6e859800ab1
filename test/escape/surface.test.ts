// Rarely used system calls, and known ones in unusual forms: junk in the bits that the kernel does not read, filters and listeners of the program's own.
import { spawnSync } from "node:child_process";
import { expect } from "vitest";
import { syscallNumbers } from "../../policy/seccomp/syscalls.ts";
import { needs } from "../helpers/abilities.ts";
import { allPowerful, attackInSandbox, attackProgram, attackTest, type ErrnoName, withoutSeccomp } from "../helpers/attack.ts";

const program = "attack-surface";
const all = (names: readonly string[], errno: ErrnoName) => Object.fromEntries(names.map((name) => [name, errno]));
const unfiltered = { run: withoutSeccomp };
/** Its control has no filter of the profile's: the call reaches the kernel, whose answer is `succeeds`. */
const attack = (name: string, refused: Readonly<Record<string, ErrnoName>>, succeeds?: Readonly<Record<string, ErrnoName>>): void =>
  attackTest(name, { program, args: Object.keys(refused), refused, control: unfiltered, ...(succeeds === undefined ? {} : { succeeds }) });

attack("reads and writes memory of a process by its id", all(["process-vm-readv", "process-vm-writev"], "EPERM"));
attack("takes a descriptor out of a process by its pidfd", all(["pidfd-getfd"], "EPERM"));
attack("advises and moves the memory of other processes", all(["process-madvise", "move-pages", "migrate-pages"], "EPERM"), {
  "process-madvise": "EFAULT",
  "move-pages": "OK",
  "migrate-pages": "EFAULT",
});
attack("asks for disk quotas by a descriptor", all(["quotactl-fd"], "EPERM"), { "quotactl-fd": "EBADF" });
attack(
  "joins and makes keyrings, also with junk above the operation",
  all(["keyctl-join-session", "keyctl-user-session", "keyctl-persistent", "keyctl-high"], "EPERM"),
);
attack(
  "makes readable memory executable, also with junk above the persona, and maps page zero",
  all(["personality-exec", "personality-exec-high", "personality-page-zero"], "EPERM"),
);
attack("is traced by its parent, and traces in a chain", all(["trace-me", "trace-chain"], "EPERM"));
attackTest("sets up io_uring with junk above its size", {
  program,
  args: ["io-uring-high"],
  refused: { "io-uring-high": "EPERM" },
  control: { run: () => withoutSeccomp({ limits: { lockedMemory: "64M" } }) },
  abilities: ["io-uring"],
});
attackTest("changes its segment table", {
  program,
  args: ["modify-ldt"],
  refused: { "modify-ldt": "EPERM" },
  control: unfiltered,
  abilities: ["x86_64"],
});

// Whoever has the listener answers the calls: a second one would take its place, also for what the base filter refuses.
attackTest("listens to system calls itself, in the place of the supervisor", {
  program,
  args: ["listener", "listener-high"],
  refused: all(["listener", "listener-high"], "EBUSY"),
  control: { run: () => ["--set", "seccomp.audit=false"] },
});
attackTest("finds the supervisor's listener among its descriptors", {
  program,
  args: ["find-listener"],
  refused: { "find-listener": "ENOENT" },
  succeeds: { "listener-and-find": "OK" },
  control: { run: () => ["--set", "seccomp.audit=false"], args: ["listener-and-find"] },
});
attack(
  "installs filters of its own that allow a refused call or hand it to a tracer",
  all(["own-filter-allows", "own-filter-traces"], "EPERM"),
  {
    "own-filter-allows": "OK",
    "own-filter-traces": "ENOSYS", // its own filter's answer: there is no tracer
  },
);

attack(
  "opens packet sockets, also with junk above the family",
  all(["packet", "packet-high"], "EAFNOSUPPORT"),
  all(["packet", "packet-high"], "EPERM"),
);
attackTest("opens a socket to the hypervisor (AF_VSOCK), also with junk above the family", {
  program,
  args: ["vsock", "vsock-high", "vsock-sign"],
  refused: all(["vsock", "vsock-high", "vsock-sign"], "EAFNOSUPPORT"),
  control: unfiltered,
  abilities: ["vsock"],
});
attack(
  "opens netlink sockets but routing's, also with junk above family and protocol",
  all(["netlink-diag", "netlink-diag-high", "netlink-uevents"], "EPROTONOSUPPORT"),
);
attack(
  "makes pairs of other sockets",
  all(["pair-inet", "pair-inet-high"], "EAFNOSUPPORT"),
  all(["pair-inet", "pair-inet-high"], "ENOTSUP"),
);

attackTest("makes a user namespace together with others, with junk above the flags", {
  program,
  args: ["clone-user-net", "clone-user-pid-high", "unshare-user"],
  refused: all(["clone-user-net", "clone-user-pid-high", "unshare-user"], "EPERM"),
  control: "outside",
});
attack(
  "sets the set-user-ID bit with junk above the mode, and the set-group-ID bit",
  all(["fchmod-setuid-high", "fchmod-setgid"], "EPERM"),
);

needs("userns")(
  "restarts its pid namespace with CAP_SYS_BOOT: the sandbox's init would die, and the run be called a failure of ours",
  async () => {
    const outside = spawnSync("unshare", ["-Urpf", "--mount-proc", attackProgram(program), "restart"], {
      encoding: "utf8",
      timeout: 15_000,
      killSignal: "SIGKILL",
    });
    expect(outside.stdout, outside.stderr).toBe(""); // it died of it
    expect(outside.status).not.toBe(0);
    const inside = await attackInSandbox(program, ["restart"], { run: ["-p", allPowerful()] });
    expect(inside.tries.outcomes()).toEqual({ restart: "EPERM" });
    expect(inside.report).toMatchObject({ verdict: "ok", denials: [{ syscall: "reboot", rule: "base#restart" }] });
  },
);

// No ordinary user can show these to work: each guard is shown to suffice alone instead, the filter by what it says, the kernel without the filter.
const machine = [
  "swapon",
  "swapoff",
  "acct",
  "kexec_load",
  "init_module",
  "finit_module",
  "delete_module",
  "settimeofday",
  "vhangup",
] as const;
needs("userns")(
  "swaps, accounts, loads modules and kernels, sets the clock, hangs up: refused by the filter, and without it by the kernel",
  async () => {
    const numbers = syscallNumbers(process.arch === "arm64" ? "aarch64" : "x86_64");
    const args = machine.flatMap((name, i) => [...(i === 0 ? [] : [","]), String(numbers[name])]);
    const refused = machine.map(() => 1);
    const filtered = await attackInSandbox("behave", ["raw", ...args]);
    expect(filtered.tries.all.map(({ errno }) => errno)).toEqual(refused);
    expect(filtered.report?.denials?.map(({ syscall, rule }) => [syscall, rule])).toEqual([
      ["swapon", "default#swap"],
      ["swapoff", "default#swap"],
      ["acct", "default#accounting"],
      ["kexec_load", "default#boot"],
      ...["init_module", "finit_module", "delete_module"].map((name) => [name, "default#modules"]),
      ["settimeofday", "default#clock"],
      ["vhangup", "default#hangup"],
    ]);
    const powerful = await attackInSandbox("behave", ["raw", ...args], { run: ["-p", allPowerful()] });
    // ENOSYS: a kernel that was built without modules or kexec.
    for (const { errno } of powerful.tries.all) expect([1, 38]).toContain(errno);
    expect(powerful.tries.all).toHaveLength(machine.length);
    expect(powerful.report?.denials).toEqual([]);
  },
);
