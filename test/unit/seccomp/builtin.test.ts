import { describe, expect, test } from "vitest";
import type { Arch } from "../../../policy/compile/types.ts";
import { errnoNumbers } from "../../../policy/seccomp/errno.ts";
import { compileBaseFilter, compileFilter, simulate, simulateFilters } from "../../../policy/seccomp/index.ts";
import { syscallTables } from "../../../policy/seccomp/tables.gen.ts";
import { auditArm, auditI386, interpretNamed, nameOf, noRules, type Question } from "./interpret.ts";

const archs = ["x86_64", "aarch64"] as const satisfies readonly Arch[];
const grants = [
  { capabilities: [], userNamespaces: "deny" },
  { capabilities: ["CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_SYS_CHROOT"], userNamespaces: "deny" },
  { capabilities: [], userNamespaces: "allow" },
] as const;
const enosys = { action: "errno", data: 38 };
const eperm = { action: "errno", data: 1 };
const allow = { action: "allow", data: 0 };

function answerFor(text: string): { action: string; data: number } {
  const [word, name] = text.split(":");
  return name === undefined ? { action: word ?? "", data: 0 } : { action: "errno", data: errnoNumbers[name as keyof typeof errnoNumbers] };
}

function inputFor(arch: Arch, ruleSet: string, grant: Pick<Question, "capabilities" | "userNamespaces"> = grants[0]): Question {
  return { arch, seccomp: { ...noRules, ruleSets: [ruleSet] }, ...grant };
}

// Nothing of these is special to one call: zero, small numbers, flags, and the same with junk above what the kernel reads.
const probes: readonly (readonly bigint[])[] = [
  [0n, 0n, 0n],
  [1n, 0x5401n, 0n],
  [2n, 0x5412n, 1n],
  [17n, 0n, 3n],
  [16n, 0n, 0n],
  [16n, 0n, 9n],
  [0x10000000n, 0n, 0n],
  [0x00020011n, 0n, 0n],
  [0xffffffffn, 0x5413n, 0n],
  [0xdead00000001n, 0xbeef00005401n, 0xcafe00000000n],
  [0xffffffffffffffffn, 0xffffffffffffffffn, 0xffffffffffffffffn],
];

describe.each(archs)("built-in rule sets on %s", (arch) => {
  test.each(["default", "strict", "none"])("%s answers every number as its text says", (ruleSet) => {
    for (const grant of grants) {
      const input = inputFor(arch, ruleSet, grant);
      const { bytes, warnings } = compileFilter(input);
      expect(warnings).toEqual([]);
      for (let nr = 0; nr <= 1100; nr++) {
        const name = nameOf(arch, nr);
        for (const args of name === undefined ? [[]] : probes) {
          const answer = simulate(bytes, { arch, nr, args });
          const expected = name === undefined ? unknown(ruleSet) : named(input, { name, args, nr });
          expect(answer, `${ruleSet} ${name ?? nr} ${args.join()} ${grant.capabilities.join()}`).toEqual(expected);
        }
      }
    }
  });

  test.each(["default", "strict", "none"])("%s refuses other ABIs", (ruleSet) => {
    const { bytes } = compileFilter(inputFor(arch, ruleSet));
    const base = compileBaseFilter({ arch, userNamespaces: "deny" }).bytes;
    for (let nr = 0; nr <= 1100; nr++) {
      for (const filter of [bytes, base]) {
        for (const foreign of [auditI386, auditArm, 0]) expect(simulate(filter, { arch: foreign, nr })).toEqual(enosys);
        if (arch === "x86_64") expect(simulate(filter, { arch, nr: 0x40000000 + nr })).toEqual(enosys);
      }
    }
  });

  test("a number beyond the table looks like an older kernel", () => {
    for (const ruleSet of ["default", "strict"]) {
      const { bytes } = compileFilter(inputFor(arch, ruleSet));
      for (const nr of [600, 0x3fffffff, 0x7fffffff, 0x80000000, 0xffffffff]) expect(simulate(bytes, { arch, nr })).toEqual(enosys);
    }
  });

  test("filters are what they were", () => {
    const digests = Object.fromEntries(
      ["default", "strict", "none"].map((ruleSet) => {
        const { digest, instructions } = compileFilter(inputFor(arch, ruleSet));
        return [ruleSet, { digest, instructions }];
      }),
    );
    const bases = (["deny", "allow"] as const).map((userNamespaces) => compileBaseFilter({ arch, userNamespaces }).digest);
    expect({ digests, bases }).toMatchSnapshot();
  });

  describe("base filter", () => {
    const numbers: Readonly<Record<string, number>> = syscallTables[arch];
    const base = compileBaseFilter({ arch, userNamespaces: "deny" }).bytes;
    const nested = compileBaseFilter({ arch, userNamespaces: "allow" }).bytes;
    const ask = (filter: Uint8Array, name: string, ...args: bigint[]) => simulate(filter, { arch, nr: numbers[name] ?? -1, args });

    test("lets a parked task go on", () => {
      for (const name of ["read", "write", "execve", "exit_group"]) expect(ask(base, name)).toEqual(allow);
    });
    test("keeps PID 1's limits from the program, and only those", () => {
      expect(ask(base, "prlimit64", 1n)).toEqual(eperm);
      expect(ask(base, "prlimit64", 0xffffffff00000001n)).toEqual(eperm);
      expect(ask(base, "prlimit64", 0n)).toEqual(allow);
      expect(ask(base, "prlimit64", 2n)).toEqual(allow);
    });
    test.each([0x5412n, 0x541cn])("refuses ioctl 0x%x with any junk above 32 bits", (request) => {
      for (const junk of [0n, 1n << 32n, 0xffffffffn << 32n]) {
        expect(ask(base, "ioctl", 0n, request | junk)).toEqual(eperm);
        expect(ask(nested, "ioctl", 0n, request | junk)).toEqual(eperm);
      }
      expect(ask(base, "ioctl", 0n, request + 1n)).toEqual(allow);
      expect(ask(base, "ioctl", request, 0n)).toEqual(allow);
    });
    test("refuses user namespaces unless the profile allows them", () => {
      for (const flags of [0x10000000n, 0x7e020000n, 0x10000011n, 0xffffffff10000000n]) {
        for (const name of ["clone", "unshare"]) {
          expect(ask(base, name, flags)).toEqual(eperm);
          expect(ask(nested, name, flags)).toEqual(allow);
        }
      }
      expect(ask(base, "clone", 0x3d0f00n)).toEqual(allow);
      expect(ask(base, "clone3")).toEqual(enosys);
      expect(ask(nested, "clone3")).toEqual(allow);
      expect(ask(base, "setns", 3n, 0n)).toEqual(eperm);
    });
    test("keeps every call that changes mounts from a program whose own user namespace they belong to", () => {
      const calls = ["mount", "umount2", "pivot_root", "mount_setattr", "open_tree", "move_mount"];
      for (const name of [...calls, "fsopen", "fsconfig", "fsmount", "fspick", "open_by_handle_at"]) {
        expect(ask(base, name), name).toEqual(eperm);
        expect(ask(nested, name), name).toEqual(allow);
      }
    });
    test("hides what is newer than the table, open_tree_attr (467) among it, in whatever sandbox", () => {
      for (const nr of [467, 468, 600]) {
        const none = compileFilter(inputFor(arch, "none")).bytes;
        expect(simulateFilters([base, none], { arch, nr })).toEqual(enosys);
        expect(simulateFilters([nested, none], { arch, nr })).toEqual(enosys);
      }
    });
    test("keeps the scheduling of PID 1, by number or by user, from the program, and leaves it its own", () => {
      const junk = 0xffffffff00000000n;
      for (const filter of [base, nested]) {
        for (const name of ["sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"]) {
          expect(ask(filter, name, 1n), name).toEqual(eperm);
          expect(ask(filter, name, junk | 1n), name).toEqual(eperm);
          for (const pid of [0n, 2n]) expect(ask(filter, name, pid), name).toEqual(allow);
        }
        const [nice, io] = ["setpriority", "ioprio_set"];
        for (const [name, which, user] of [[nice, 0n, 2n] as const, [io, 1n, 3n] as const]) {
          expect(ask(filter, name, which, 1n), name).toEqual(eperm);
          expect(ask(filter, name, junk | which, junk | 1n), name).toEqual(eperm);
          for (const who of [0n, 1n, 1000n]) expect(ask(filter, name, user, who), name).toEqual(eperm);
          for (const who of [0n, 2n]) expect(ask(filter, name, which, who), name).toEqual(allow);
          expect(ask(filter, name, which + 1n, 0n), name).toEqual(allow);
        }
      }
    });
    test("keeps a pinned program on its CPUs, and no other", () => {
      for (const userNamespaces of ["deny", "allow"] as const) {
        const pinned = compileBaseFilter({ arch, userNamespaces, pinned: true }).bytes;
        for (const name of ["sched_setaffinity", "io_uring_setup"]) {
          expect(ask(pinned, name), name).toEqual(eperm);
          for (const filter of [base, nested]) expect(ask(filter, name), name).toEqual(allow);
        }
        expect(ask(pinned, "sched_getaffinity")).toEqual(allow);
      }
    });
    test("keeps the CPU clock running", () => {
      for (const option of [31n, 32n, 0xffffffff0000001fn, 0xffffffff00000020n]) expect(ask(base, "prctl", option)).toEqual(eperm);
      for (const option of [15n, 30n, 33n, 38n]) expect(ask(base, "prctl", option)).toEqual(allow);
    });
    test("holds under the rule set that allows everything", () => {
      const none = compileFilter(inputFor(arch, "none")).bytes;
      const nr = numbers["ioctl"] ?? -1;
      expect(simulateFilters([base, none], { arch, nr, args: [0n, 0x5412n] })).toEqual(eperm);
      expect(simulateFilters([base, none], { arch, nr, args: [0n, 0x5413n] })).toEqual(allow);
    });
  });
});

function unknown(ruleSet: string): { action: string; data: number } {
  return ruleSet === "none" ? allow : enosys;
}

/** Calls before Linux 5.1 that strict does not name and that their callers can do without. */
const olderWithFallback = ["copy_file_range", "execveat", "memfd_create", "preadv2", "pwritev2"];

/** An allow-list says nothing of the younger calls that it does not name: they look absent, so that callers fall back. */
function named(
  input: Question,
  { name, args, nr }: { name: string; args: readonly bigint[]; nr: number },
): { action: string; data: number } {
  const unsaid = interpretNamed({ ...input, seccomp: { ...input.seccomp, defaultAction: "unsaid" } }, name, args) === "unsaid";
  const mayLack = nr >= 424 || olderWithFallback.includes(name);
  if (unsaid && mayLack && input.seccomp.ruleSets[0] === "strict") return enosys;
  return answerFor(interpretNamed(input, name, args));
}
