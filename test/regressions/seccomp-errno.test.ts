// Kind of fault: a filter's errno that libc takes for final where it has a fallback, or compares more or fewer bits than the kernel.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, profileFile, type Tries } from "../helpers/attack.ts";
import { belljarRun } from "../helpers/belljar.ts";

const number =
  process.arch === "x64"
    ? { ioctl: 16, readahead: 187, clone3: 435, mkdir: 83, faccessat2: 439, openat2: 437, fchmodat2: 452, getppid: 110, prctl: 157 }
    : { ioctl: 29, readahead: 213, clone3: 435, mkdir: 1030, faccessat2: 439, openat2: 437, fchmodat2: 452, getppid: 173, prctl: 167 };

/** The errnos of raw system calls, in order. */
async function raw(calls: readonly (readonly (number | bigint)[])[], run: readonly string[] = []): Promise<readonly number[]> {
  const args = calls.flatMap((call, i) => [...(i === 0 ? [] : [","]), ...call.map(String)]);
  const { tries }: { readonly tries: Tries } = await attackInSandbox("behave", ["raw", ...args], { run });
  return tries.all.filter((one) => one.try === "raw").map(({ errno }) => errno);
}

const EPERM = 1;
const ENOSYS = 38;

needs("userns", "python3")("threads work: clone3 is not there, and clone is used instead", async () => {
  for (const profile of ["default", "judge", "strict", "compile"]) {
    const result = await belljarRun([
      "-p",
      profile,
      "--",
      "python3",
      "-c",
      "import threading; t = threading.Thread(target=print, args=('ok',)); t.start(); t.join()",
    ]);
    expect([profile, result.code, result.stdout]).toEqual([profile, 0, "ok\n"]);
  }
  expect(await raw([[number.clone3, 0, 0]])).toEqual([ENOSYS]);
});

needs("userns")("a number that no kernel has yet is not there; one that is denied is denied", async () => {
  expect(await raw([[600], [1023], [5000]])).toEqual([ENOSYS, ENOSYS, ENOSYS]);
  expect(await raw([[600], [1023]], ["-p", "strict"])).toEqual([ENOSYS, ENOSYS]);
});

needs("userns", "python3")("an allow-list that is older than libc: test -w, chmod, stat and subprocess fall back", async () => {
  // What new libcs try first is left out, as in a profile written before there were such calls.
  const run = [
    "-p",
    profileFile({
      seccomp: {
        syscalls: [
          {
            names: ["faccessat2", "openat2", "fchmodat2", "statx", "close_range"],
            action: "errno:ENOSYS",
            comment: "unknown to an older list",
          },
        ],
      },
    }),
  ];
  const shell = await belljarRun([...run, "--", "sh", "-c", "test -w /tmp && : > f && chmod 700 f && stat -c %a f"]);
  expect(shell).toMatchObject({ code: 0, stdout: "700\n" });
  const python = await belljarRun([
    ...run,
    "--",
    "python3",
    "-c",
    "import subprocess as s; print(s.check_output(['echo', 'ok'], close_fds=True).decode(), end='')",
  ]);
  expect(python).toMatchObject({ code: 0, stdout: "ok\n" });
});

needs("userns")("a request of 32 bits is compared as 32 bits: junk above does not evade a denial", async () => {
  const run = [
    "-p",
    profileFile({
      seccomp: { syscalls: [{ names: ["ioctl"], action: "errno:EOVERFLOW", args: [{ index: 1, op: "eq", value: 0x5401 }] }] },
    }),
  ];
  // TCGETS on a pipe is ENOTTY where it is let through.
  const TCGETS = 0x5401n;
  const calls = [TCGETS, TCGETS | (1n << 32n), TCGETS | 0xffffffff00000000n].map((request) => [number.ioctl, 0, request, 0]);
  expect(await raw(calls, run)).toEqual([75, 75, 75]);
  expect(await raw(calls)).toEqual([25, 25, 25]);
});

/** readahead, which no program at hand needs, gives EINVAL on a pipe where it is let through; EOVERFLOW where the rule struck. */
const struck = 75;
const passed = 22;
const pivot = 0x1_0000_0000n;
const values = [pivot - 1n, pivot, pivot + 1n, pivot + (1n << 32n), 0xffffffffn, 0n, 1n << 63n];

const comparisons: Readonly<Record<string, (value: bigint) => boolean>> = {
  eq: (value) => value === pivot,
  ne: (value) => value !== pivot,
  lt: (value) => value < pivot,
  le: (value) => value <= pivot,
  gt: (value) => value > pivot,
  ge: (value) => value >= pivot,
};

for (const [op, holds] of Object.entries(comparisons)) {
  needs("userns")(`an argument of 64 bits is compared as 64 bits: ${op}`, async () => {
    const rule = { names: ["readahead"], action: "errno:EOVERFLOW", args: [{ index: 1, op: op as "eq", value: String(pivot) }] } as const;
    const errnos = await raw(
      values.map((value) => [number.readahead, 0, value, 0]),
      ["-p", profileFile({ seccomp: { syscalls: [rule] } })],
    );
    expect(errnos).toEqual(values.map((value) => (holds(value) ? struck : passed)));
  });
}

needs("userns")("a masked comparison looks at both words", async () => {
  const mask = 0xff_0000_00ffn;
  const rule = {
    names: ["readahead"],
    action: "errno:EOVERFLOW",
    args: [{ index: 1, op: "masked-eq", mask: String(mask), value: String(0x12_0000_0034n) }],
  } as const;
  const tried = [0x12_0000_0034n, 0x12_ffff_ff34n, 0x13_0000_0034n, 0x12_0000_0035n, 0x34n];
  const errnos = await raw(
    tried.map((value) => [number.readahead, 0, value, 0]),
    ["-p", profileFile({ seccomp: { syscalls: [rule] } })],
  );
  expect(errnos).toEqual(tried.map((value) => ((value & mask) === 0x12_0000_0034n ? struck : passed)));
});

needs("userns")("two conditions on one argument both count: neither 38 nor 40", async () => {
  const rule = {
    names: ["prctl"],
    action: "errno:EOVERFLOW",
    args: [
      { index: 0, op: "ne", value: 38 },
      { index: 0, op: "ne", value: 40 },
    ],
  } as const;
  const errnos = await raw(
    [
      [number.prctl, 38, 0, 0, 0, 0],
      [number.prctl, 40, 0, 0, 0, 0],
      [number.prctl, 39, 0, 0, 0, 0],
    ],
    ["-p", profileFile({ seccomp: { syscalls: [rule] } })],
  );
  expect(errnos[2]).toBe(struck);
  expect(errnos.slice(0, 2)).not.toContain(struck);
});

needs("userns")("a killing rule is syscall-denied, an errno rule is the program's to cope with", async () => {
  const kill = await attackInSandbox("behave", ["raw", String(number.getppid)], {
    run: ["-p", profileFile({ seccomp: { syscalls: [{ names: ["getppid"], action: "kill" }] } })],
  });
  expect(kill.report).toMatchObject({ verdict: "syscall-denied", signal: "SIGSYS", exitCode: null });
  expect(kill.code).toBe(159);
  const refuse = await attackInSandbox("behave", ["raw", String(number.getppid)], {
    run: ["-p", profileFile({ seccomp: { syscalls: [{ names: ["getppid"], action: "errno:EPERM" }] } })],
  });
  expect(refuse.report).toMatchObject({ verdict: "ok" });
  expect(refuse.tries.of("raw").errno).toBe(EPERM);
});
