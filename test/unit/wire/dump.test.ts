import { expect, test } from "vitest";
import { dumpPlan, mechanismsByLimit } from "../../../policy/wire/index.ts";
import { enums } from "../../../policy/wire/wire.gen.ts";
import { fullExec, fullSandbox, minimalExec, minimalSandbox } from "./samples.ts";

interface Dump {
  readonly sandbox: Record<string, unknown> & { readonly filesystem: readonly Record<string, unknown>[] };
  readonly exec: Record<string, unknown>;
}
const full = dumpPlan({ sandbox: fullSandbox, exec: fullExec }) as Dump;

test("numbers, bits and names are readable and exact", () => {
  expect(full.sandbox).toMatchObject({
    scratchBytes: 67108864,
    boundingSet: "0x1ffffffffff",
    landlock: [{ access: "0xd" }, { access: "0xffff" }],
  });
  expect(full.exec).toMatchObject({ outputBytes: "max", capabilities: "0x2000", wallMs: 6000, umask: "0022" });
  expect(full.sandbox.filesystem.map(({ mode }) => mode)).toEqual(["0755", "0644", "0000", "1777"]);
  expect(full.sandbox.filesystem[3]?.["sizeBytes"]).toBe("max");
  expect(
    (dumpPlan({ sandbox: { ...minimalSandbox, scratchBytes: 2n ** 60n + 1n }, exec: minimalExec }) as Dump).sandbox["scratchBytes"],
  ).toBe("1152921504606846977");
  expect(full.exec["requiredMask"]).toEqual(enums.Limit);
  expect(full.exec["mechanisms"]).toMatchObject({ cpuTime: "none", wallTime: "cgroup2" });
});

test("filters are digests, or listings where a disassembler is given", () => {
  const filter = { instructions: 3, digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) };
  expect(full.exec["filter"]).toEqual(filter);
  expect((dumpPlan({ sandbox: minimalSandbox, exec: minimalExec }) as Dump).exec["filter"]).toBeNull();
  const listed = dumpPlan({ sandbox: fullSandbox, exec: fullExec }, { disassemble: (bytes) => `a ${bytes.length}\nb` }) as Dump;
  expect(listed.sandbox["baseFilter"]).toEqual({ ...filter, listing: ["a 24", "b"] });
});

test("contents are text, or a digest where they are not", () => {
  const [entry] = fullSandbox.filesystem;
  if (entry === undefined) throw new Error("no entry");
  const contentOf = (content: Uint8Array) =>
    (dumpPlan({ sandbox: { ...minimalSandbox, filesystem: [{ ...entry, content }] }, exec: minimalExec }) as Dump).sandbox.filesystem[0]?.[
      "content"
    ];
  expect(contentOf(new TextEncoder().encode("\ufeffhello"))).toBe("\ufeffhello");
  expect(contentOf(Uint8Array.of(0xff, 0xfe))).toMatchObject({ bytes: 2 });
  expect(contentOf(new Uint8Array())).toBeNull();
});

test("the dump is JSON", () => {
  expect(JSON.parse(JSON.stringify(full))).toEqual(full);
});

test("limits that were not asked for have no mechanism", () => {
  const numbers = enums.Limit.map((name) => enums.Mechanism.indexOf(name === "disk" ? "tmpfs" : "notAsked"));
  expect(mechanismsByLimit(numbers)).toEqual({ disk: "tmpfs" });
});
