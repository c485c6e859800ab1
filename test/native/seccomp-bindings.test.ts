import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { version } from "seccomp-ts-bindings";
import { expect, test } from "vitest";
import type { Arch } from "../../policy/compile/types.ts";
import { compileFilter, type FilterInput, simulate } from "../../policy/seccomp/index.ts";
import { referenceFilter } from "../../policy/seccomp/reference.ts";
import { syscallTables } from "../../policy/seccomp/tables.gen.ts";
import { root } from "../helpers/places.ts";

function node(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    cwd: root,
    timeout: 55_000,
    killSignal: "SIGKILL",
  });
  expect(status, `${stdout}${stderr}`).toBe(0);
  return stdout;
}

test("the package's own tests pass", () => {
  const folder = join(root, "native/seccomp-ts-bindings/test");
  const files = readdirSync(folder).filter((name) => name.endsWith(".test.mjs"));
  expect(files.length).toBeGreaterThan(5);
  const output = node("--expose-gc", "--test", "--test-reporter=tap", ...files.map((name) => join(folder, name)));
  expect(Number(/^# pass (\d+)$/m.exec(output)?.[1])).toBeGreaterThan(25);
  // Which of its tests need a newer libseccomp and which an older one, the package says itself; all others run.
  expect(Number(/^# skipped (\d+)$/m.exec(output)?.[1])).toBeLessThanOrEqual(2);
});

test("the committed table is libseccomp's", () => {
  node("policy/seccomp/generate.mjs", "--check");
  for (const arch of ["x86_64", "aarch64"] as const) {
    expect(Object.keys(syscallTables[arch]).length).toBeGreaterThan(300);
    expect(syscallTables[arch]).toMatchObject(arch === "x86_64" ? { read: 0, clone3: 435 } : { read: 63, clone3: 435 });
  }
  expect(version().major).toBe(2);
});

function inputFor(arch: Arch, seccomp: Partial<FilterInput["seccomp"]>): FilterInput {
  const none = { ruleSets: [], defaultAction: null, audit: false, file: null, syscalls: [] };
  return { arch, capabilities: [], userNamespaces: "deny", seccomp: { ...none, ...seccomp } };
}

const values = [0n, 1n, 2n, 16n, 0x5412n, 0x10000000n, 0x7e020000n, 0xffffffffn, 0x100000000n, 0x100000001n, (1n << 64n) - 1n];

/** Compares our filter with libseccomp's wherever libseccomp can say the rules; returns the number of calls compared. */
async function compare(
  input: FilterInput,
  args: readonly (readonly bigint[])[],
): Promise<{ calls: number; inexpressible: readonly string[] }> {
  const ours = compileFilter(input).bytes;
  const { bpf, inexpressible } = await referenceFilter(input);
  let calls = 0;
  for (const [name, nr] of Object.entries(syscallTables[input.arch])) {
    if (inexpressible.includes(name)) continue;
    for (const list of args) {
      const call = { arch: input.arch, nr, args: list };
      expect(simulate(ours, call), `${name} ${list.join()}`).toEqual(simulate(bpf, call));
      calls++;
    }
  }
  return { calls, inexpressible };
}

test.each(["x86_64", "aarch64"] as const)("built-in rule sets on %s are what libseccomp makes of them", async (arch) => {
  const args = values.map((value) => [value, value, 0n]);
  const strict = await compare(inputFor(arch, { ruleSets: ["strict"] }), args);
  expect(strict.inexpressible).toEqual(["ioctl"]); // it has an errno of its own beside the default
  expect(strict.calls).toBeGreaterThan(3000);
  const standard = await compare(inputFor(arch, { ruleSets: ["default"] }), args);
  expect(standard.inexpressible).toEqual(["socket", "socketpair"]);
  expect((await compare(inputFor(arch, { ruleSets: ["none"] }), args)).inexpressible).toEqual([]);
});

test("conditions are what libseccomp makes of them", async () => {
  const op = fc.constantFrom("eq", "ne", "lt", "le", "gt", "ge", "masked-eq");
  const value = fc.oneof(fc.constantFrom(...values), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }));
  const arg = fc.tuple(fc.constantFrom(1, 2, 3, 4), op, value, value).map(([index, operator, a, b]) => ({
    index,
    op: operator,
    value: `0x${(operator === "masked-eq" ? a & b : a).toString(16)}`,
    ...(operator === "masked-eq" ? { mask: `0x${b.toString(16)}` } : {}),
  }));
  const oneOnEach = fc.uniqueArray(arg, { minLength: 1, maxLength: 3, selector: ({ index }) => index });
  const property = fc.asyncProperty(
    fc.constantFrom<Arch>("x86_64", "aarch64"),
    oneOnEach,
    fc.array(value, { minLength: 30, maxLength: 30 }),
    async (arch, args, probes) => {
      // mremap's five arguments are all 64 bits wide, so libseccomp and the kernel agree on them.
      const rule = {
        names: ["mremap"],
        action: "errno:EPERM",
        args,
        comment: null,
        origin: "p",
      } as FilterInput["seccomp"]["syscalls"][number];
      const input = inputFor(arch, { ruleSets: ["none"], syscalls: [rule] });
      const { bpf, inexpressible } = await referenceFilter(input);
      expect(inexpressible).toEqual([]);
      const ours = compileFilter(input).bytes;
      const near = args.flatMap(({ value: compared }) =>
        [BigInt(compared), BigInt(compared) + 1n, BigInt(compared) - 1n].map((v) => BigInt.asUintN(64, v)),
      );
      for (const [i, probe] of [...probes, ...near].entries()) {
        const list = [0, 1, 2, 3, 4].map((j) => (j === 0 ? 0n : ([probe, ...near][(i + j) % (near.length + 1)] ?? probe)));
        const call = { arch, nr: syscallTables[arch].mremap, args: list };
        expect(simulate(ours, call), list.join()).toEqual(simulate(bpf, call));
      }
    },
  );
  await fc.assert(property, { numRuns: 200 });
});
