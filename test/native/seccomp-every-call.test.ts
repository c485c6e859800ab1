/**
 * Every call that the table knows, and numbers around it, under the filters of every built-in profile, with arguments that mean nothing:
 * what the kernel does, what the simulator answers and what `profile explain` says are the same.
 */
import { describe, expect, test } from "vitest";
import type { Arch } from "../../policy/compile/types.ts";
import { builtinProfiles, loadBuiltin, resolveProfile } from "../../policy/profile/index.ts";
import { formatAnswer } from "../../policy/seccomp/actions.ts";
import {
  type Answer,
  compileBaseFilter,
  compileFilter,
  explainSyscall,
  type FilterInput,
  simulateFilters,
  syscallNumbers,
} from "../../policy/seccomp/index.ts";
import { needs } from "../helpers/abilities.ts";
import { tryCalls } from "../helpers/syscalls.ts";

const arch: Arch = process.arch === "arm64" ? "aarch64" : "x86_64";
const numbers = syscallNumbers(arch);
const newest = Math.max(...Object.values(numbers));
const everyNumber = Array.from({ length: newest + 21 }, (_, nr) => nr).concat(600, 1000, 0x3fff_ffff, 0x7fff_ffff);
const allOnes = 0xffff_ffff_ffff_ffffn;

/** What cannot be tried as it is, and why. */
const special: Readonly<
  Record<string, { readonly call: (nr: number) => string; readonly args?: readonly bigint[]; readonly why: string }>
> = {
  pause: { call: (nr) => `~${nr}`, why: "waits for a signal: it has a second" },
  msgget: { call: (nr) => `${nr}:1:0`, args: [1n, 0n], why: "with all flags it would leave a message queue on the host" },
  // The other calls that end or replace the process need nothing: exit, exit_group, rt_sigreturn, fork and vfork happen in a child, which tells.
};

/** uretprobe and uprobe: newer kernels run no filter for these two (kernel/seccomp.c), only their own trampolines may call them. */
const neverFiltered: readonly number[] = arch === "x86_64" ? [335, 336] : [];

interface Tried {
  readonly nr: number;
  readonly name: string | null;
  readonly text: string;
  readonly args: readonly bigint[];
}

const nameOf = new Map(Object.entries(numbers).map(([name, nr]) => [nr, name]));
const tried: readonly Tried[] = everyNumber.map((nr) => {
  const name = nameOf.get(nr) ?? null;
  const { call, args } = (name === null ? undefined : special[name]) ?? {};
  return { nr, name, text: call?.(nr) ?? `${nr}`, args: args ?? Array.from({ length: 6 }, () => allOnes) };
});

/** What a refusal looks like from outside; null: the call is made. */
function refusal({ action, data }: Answer): string | null {
  if (action === "errno") return data === 0 ? "ok" : `errno ${data}`;
  return action === "allow" || action === "log" ? null : "signal 31";
}

const known = new Map<string, readonly string[]>();

/** As tryCalls; profiles that share their filters are tried once. */
function observe(filters: readonly Uint8Array[], calls: readonly string[]): readonly string[] {
  const key = JSON.stringify([filters.map((bytes) => Buffer.from(bytes).toString("base64")), calls]);
  const observed = known.get(key) ?? tryCalls(filters, calls);
  known.set(key, observed);
  return observed;
}

function inputOf(profile: string): FilterInput {
  const load = (name: string) => loadBuiltin(name) ?? { file: name, text: "" };
  const { policy } = resolveProfile(profile, { load });
  return { arch, seccomp: policy.seccomp, capabilities: policy.capabilities, userNamespaces: policy.namespaces.user };
}

describe.each(Object.keys(builtinProfiles))("under %s", (profile) => {
  test("the kernel, the simulator and explain agree on every call", () => {
    const input = inputOf(profile);
    const filters = [compileBaseFilter(input).bytes, compileFilter(input).bytes];
    const free = observe(
      [],
      tried.map(({ text }) => text),
    );
    const observed = observe(
      filters,
      tried.map(({ text }) => text),
    );
    expect(observed).toHaveLength(tried.length);
    let refused = 0;
    for (const [i, { nr, name, args }] of tried.entries()) {
      const answer = simulateFilters(filters, { arch, nr, args });
      const given = new Map(args.map((value, index) => [index, value]));
      const said = explainSyscall(input, name ?? `${nr}`, given);
      const at = `${name ?? nr}(${args.join()})`;
      expect(
        said.map(({ action, conditions }) => [action, conditions]),
        at,
      ).toEqual([[formatAnswer(answer), []]]);
      if (neverFiltered.includes(nr)) continue;
      const wanted = refusal(answer);
      if (wanted !== null) refused++;
      // What is allowed does what it does without a filter.
      expect(observed[i], at).toBe(wanted ?? free[i]);
    }
    expect(refused).toBeGreaterThan(profile === "unlimited" ? 30 : 100);
  }, 240_000);

  needs("x86_64")("x32 has no call", () => {
    const input = inputOf(profile);
    const calls = everyNumber.filter((nr) => nr < 0x1000).map((nr) => `x32:${nr}`);
    expect(new Set(observe([compileBaseFilter(input).bytes, compileFilter(input).bytes], calls))).toEqual(new Set(["errno 38"]));
  });

  needs("x86_64", "i386")("i386 has no call", () => {
    const input = inputOf(profile);
    const calls = everyNumber.filter((nr) => nr < 0x1000).map((nr) => `i386:${nr}`);
    expect(new Set(observe([compileBaseFilter(input).bytes, compileFilter(input).bytes], calls))).toEqual(new Set(["errno 38"]));
  });
});

test("the calls that are special have a reason, and the fixture sees each kind of end (the control)", () => {
  for (const [name, { why }] of Object.entries(special)) expect(why.length, name).toBeGreaterThan(10);
  const nr = (name: string) => `${numbers[name] ?? numbers["getpid"]}`;
  expect(observe([], [nr("getpid"), nr("close"), nr("exit_group"), nr("rt_sigreturn"), `~${numbers["ppoll"]}:0:0:0:0:0`])).toEqual(
    ["ok", "errno 9", "exit 255", "signal 11", "signal 14"], // biome-ignore format: one row
  );
});
