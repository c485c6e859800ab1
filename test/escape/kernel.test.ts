// System calls that open large or dangerous parts of the kernel, and other entrances to the same calls.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutside, attackTest, withoutSeccomp } from "../helpers/attack.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-kernel";
const unfiltered = { run: withoutSeccomp };

attackTest("uses io_uring, an entrance that no filter sees into", {
  program,
  args: ["io-uring-setup", "io-uring-enter", "io-uring-register"],
  refused: { "io-uring-setup": "EPERM", "io-uring-enter": "EPERM", "io-uring-register": "EPERM" },
  // Bad arguments: the kernel's own complaint shows that the calls were let through.
  succeeds: { "io-uring-setup": "OK", "io-uring-enter": "EBADF", "io-uring-register": "EINVAL" },
  control: { run: () => withoutSeccomp({ limits: { lockedMemory: "64M" } }) }, // its rings count as locked memory
  abilities: ["io-uring"],
});

attackTest("loads a program into the kernel by bpf", {
  program,
  args: ["bpf"],
  refused: { bpf: "EPERM" },
  succeeds: { bpf: "EFAULT" },
  control: unfiltered,
});

attackTest("stops the kernel in a page fault by userfaultfd", {
  program,
  args: ["userfaultfd"],
  refused: { userfaultfd: "EPERM" },
  control: unfiltered,
});

attackTest("opens performance events", {
  program,
  args: ["perf-event-open"],
  refused: { "perf-event-open": "EPERM" },
  control: unfiltered,
  abilities: ["perf"],
});

attackTest("traces and compares processes", {
  program,
  args: ["ptrace", "kcmp"],
  refused: { ptrace: "EPERM", kcmp: "EPERM" },
  control: unfiltered,
});

attackTest("uses the keyring calls", {
  program,
  args: ["add-key", "request-key", "keyctl"],
  refused: { "add-key": "EPERM", "request-key": "EPERM", keyctl: "EPERM" },
  succeeds: { "add-key": "EFAULT", "request-key": "EFAULT", keyctl: "ENOKEY" },
  control: unfiltered,
});

attackTest("makes all readable memory executable by personality", {
  program,
  args: ["personality"],
  refused: { personality: "EPERM" },
  control: unfiltered,
});

attackTest("opens files by handle", {
  program,
  args: ["open-by-handle"],
  refused: { "open-by-handle": "EPERM" },
  succeeds: { "open-by-handle": "EFAULT" },
  control: "own-namespaces",
});

attackTest("watches the files of others by fanotify, keeps secret memory", {
  program,
  args: ["fanotify", "memfd-secret"],
  refused: { fanotify: "EPERM", "memfd-secret": "EPERM" },
  control: unfiltered,
});

needs("userns")("calls that do not exist yet are told apart from those that are refused", async () => {
  const inside = await attackInSandbox(program, ["clone3", "future"]);
  expect(inside.tries.outcomes()).toEqual({ clone3: "ENOSYS", future: "ENOSYS" });
  expect(attackOutside(program, ["clone3"]).outcomes()).toEqual({ clone3: "EINVAL" });
});

needs(
  "userns",
  "x86_64",
  "i386",
)("makes a directory and a socket through int 0x80", async () => {
  const cwd = tempDir("int80");
  const names = ["int80-getpid", "int80-mkdir", "int80-socketcall"];
  const outside = attackOutside(program, names, { cwd });
  expect(outside.outcomes()).toEqual({ "int80-getpid": "OK", "int80-mkdir": "OK", "int80-socketcall": "OK" });
  expect(existsSync(join(cwd, "by-int80"))).toBe(true);
  for (const run of [[], withoutSeccomp()]) {
    const work = tempDir("int80");
    const inside = await attackInSandbox(program, names, { run: [...run, "-v", `${work}:/rw:rw`, "-w", "/rw"] });
    expect(inside.tries.outcomes()).toEqual({ "int80-getpid": "ENOSYS", "int80-mkdir": "ENOSYS", "int80-socketcall": "ENOSYS" });
    expect(existsSync(join(work, "by-int80"))).toBe(false);
  }
});

needs("userns", "x86_64")("makes a directory through the x32 table", async () => {
  const work = tempDir("x32");
  const inside = await attackInSandbox(program, ["x32-getpid", "x32-mkdir"], { run: ["-v", `${work}:/rw:rw`, "-w", "/rw"] });
  // Most kernels are built without x32: then the errno is the kernel's, and the same.
  expect(inside.tries.outcomes()).toEqual({ "x32-getpid": "ENOSYS", "x32-mkdir": "ENOSYS" });
  expect(existsSync(join(work, "by-x32"))).toBe(false);
});
