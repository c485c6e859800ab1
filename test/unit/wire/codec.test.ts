import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BelljarError } from "../../../policy/errors.ts";
import { decodePart, encodeExec, encodeReport, encodeSandbox } from "../../../policy/wire/index.ts";
import type { ExecPlan, SandboxPlan } from "../../../policy/wire/wire.gen.ts";
import { wireMagic, wireMaxPlanBytes, wireRecords } from "../../../policy/wire/wire.gen.ts";
import { sampleReport } from "../verdict/sample-report.ts";
import { execPlans, sandboxPlans } from "./arbitrary.ts";
import { fullExec, fullSandbox, minimalExec, minimalSandbox } from "./samples.ts";

function errorOf(action: () => unknown): BelljarError {
  try {
    action();
  } catch (error) {
    if (error instanceof BelljarError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("round trip", () => {
  test("every sandbox part that the table allows comes back as it was", () => {
    fc.assert(
      fc.property(sandboxPlans, (plan) => {
        expect(decodePart(encodeSandbox(plan))).toEqual({ kind: "sandbox", plan });
      }),
      { numRuns: 150 },
    );
  });
  test("every exec part that the table allows comes back as it was", () => {
    fc.assert(
      fc.property(execPlans, (plan) => {
        expect(decodePart(encodeExec(plan))).toEqual({ kind: "exec", plan });
      }),
      { numRuns: 150 },
    );
  });
  test("a part in the middle of a larger buffer decodes", () => {
    const bytes = encodeExec(fullExec);
    const larger = new Uint8Array(bytes.length + 24);
    larger.set(bytes, 11);
    expect(decodePart(larger.subarray(11, 11 + bytes.length))).toEqual({ kind: "exec", plan: fullExec });
  });
});

describe("layout", () => {
  test("header, root record, then data depth first in field order", () => {
    const bytes = encodeExec({ ...minimalExec, argv: ["ab", "c"], env: ["D="] });
    const view = new DataView(bytes.buffer);
    const root = 32;
    const rootSize = wireRecords["ExecPlan"]?.size ?? 0;
    expect(view.getBigUint64(0, true)).toBe(wireMagic);
    expect([8, 12, 16, 20].map((at) => view.getUint32(at, true))).toEqual([2, 1, bytes.length, 32]);
    const argv = root + rootSize; // two texts of 8 bytes each, then "ab\0" "c\0", then env's array at the next multiple of 8
    expect([view.getUint32(root, true), view.getUint32(root + 4, true)]).toEqual([argv, 2]);
    expect([view.getUint32(argv, true), view.getUint32(argv + 4, true)]).toEqual([argv + 16, 2]);
    expect([view.getUint32(argv + 8, true), view.getUint32(argv + 12, true)]).toEqual([argv + 19, 1]);
    expect(new TextDecoder().decode(bytes.subarray(argv + 16, argv + 21))).toBe("ab\0c\0");
    expect([view.getUint32(root + 16, true), view.getUint32(root + 20, true)]).toEqual([argv + 24, 1]);
    expect(bytes.length % 8).toBe(0);
  });
  test("empty text, bytes and lists have no place", () => {
    const bytes = encodeSandbox(minimalSandbox);
    const view = new DataView(bytes.buffer);
    const offsetOf = (name: string): number => 32 + (wireRecords["SandboxPlan"]?.fields.find((f) => f.name === name)?.offset ?? -1);
    for (const name of ["filesystem", "baseFilter", "hostname"]) expect(view.getBigUint64(offsetOf(name), true), name).toBe(0n);
  });
});

describe("the decoder refuses what the encoder does not write", () => {
  const parts = { sandbox: encodeSandbox(fullSandbox), exec: encodeExec(fullExec), report: encodeReport(sampleReport) };
  const encodeAgain = (bytes: Uint8Array): Uint8Array => {
    const part = decodePart(bytes);
    return part.kind === "sandbox" ? encodeSandbox(part.plan) : part.kind === "exec" ? encodeExec(part.plan) : encodeReport(part.plan);
  };
  test("a changed byte is refused or is another plan in its one encoding", () => {
    let refused = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(parts.sandbox, parts.exec, parts.report),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (part, at, change) => {
          const bytes = part.slice();
          const index = at % bytes.length;
          bytes[index] = (bytes[index] ?? 0) ^ change;
          let again: Uint8Array;
          try {
            again = encodeAgain(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(BelljarError);
            refused++;
            return;
          }
          expect(Buffer.compare(again, bytes)).toBe(0);
        },
      ),
      { numRuns: 1500 },
    );
    expect(refused).toBeGreaterThan(100);
  });
  test("cut short anywhere, or longer", () => {
    for (const bytes of Object.values(parts)) {
      for (let length = 0; length < bytes.length; length += 4)
        expect(() => decodePart(bytes.subarray(0, length)), `${length}`).toThrow(BelljarError);
      const longer = new Uint8Array(bytes.length + 8);
      longer.set(bytes);
      expect(errorOf(() => decodePart(longer)).message).toContain("wrong total size");
      new DataView(longer.buffer).setUint32(16, longer.length, true);
      expect(errorOf(() => decodePart(longer)).message).toContain("bytes after the end");
    }
  });
  test.each([
    [0, "wrong magic"],
    [8, "unknown kind"],
    [12, "wrong version"],
    [16, "wrong total size"],
    [20, "wrong root offset"],
    [24, "reserved bytes in use"],
  ])("header word at %i", (at, words) => {
    const bytes = parts.exec.slice();
    new DataView(bytes.buffer).setUint32(at, 77, true);
    const error = errorOf(() => decodePart(bytes));
    expect(error.code).toBe("internal");
    expect(error.message).toContain(words);
  });
  test("text that is not UTF-8, an empty argv", () => {
    const bytes = encodeExec({ ...minimalExec, argv: ["xy"] });
    bytes[bytes.lastIndexOf(0x78)] = 0xff;
    expect(errorOf(() => decodePart(bytes)).message).toBe("plan: exec.argv[0].text: not UTF-8");
    expect(errorOf(() => decodePart(encodeExec({ ...minimalExec, argv: [] }))).message).toBe("plan: exec.argv: must not be empty");
  });
});

describe("the encoder refuses what breaks a rule, with the field's path", () => {
  const entry = fullSandbox.filesystem[0];
  if (entry === undefined) throw new Error("no entry");
  const sandboxCases: readonly (readonly [string, Partial<SandboxPlan>])[] = [
    ["sandbox.runId", { runId: "Run" }],
    ["sandbox.runId", { runId: "" }],
    ["sandbox.runId", { runId: "a".repeat(65) }],
    ["sandbox.workPath", { workPath: "work" }],
    ["sandbox.workPath", { workPath: "/work/" }],
    ["sandbox.workPath", { workPath: "//work" }],
    ["sandbox.workPath", { workPath: "/a/../b" }],
    ["sandbox.workPath", { workPath: "/a/./b" }],
    ["sandbox.workPath", { workPath: "" }],
    ["sandbox.hostname", { hostname: "a\0b" }],
    ["sandbox.hostname", { hostname: "\ud800" }],
    ["sandbox.programUid", { programUid: -1 }],
    ["sandbox.programUid", { programUid: 2 ** 32 }],
    ["sandbox.programUid", { programUid: 1.5 }],
    ["sandbox.scratchBytes", { scratchBytes: -1n }],
    ["sandbox.scratchBytes", { scratchBytes: 2n ** 64n }],
    ["sandbox.filesystem[1].mode", { filesystem: [entry, { ...entry, mode: 0o10000 }] }],
    ["sandbox.filesystem[0].target", { filesystem: [{ ...entry, target: "etc" }] }],
    ["sandbox.filesystem[0].flags", { filesystem: [{ ...entry, flags: ["toString" as "readOnly"] }] }],
    ["sandbox.filesystem[0].kind", { filesystem: [{ ...entry, kind: "overlay" as "bind" }] }],
    ["sandbox.uidMaps[0].size", { uidMaps: [{ containerId: 0, hostId: 0, size: 0 }] }],
    ["sandbox.cgroups[0].version", { cgroups: [{ version: 3, parent: "/x", controllers: "" }] }],
    ["sandbox.rootReadOnly", { rootReadOnly: 1 as unknown as boolean }],
    ["sandbox.baseFilter", { baseFilter: "x" as unknown as Uint8Array }],
  ];
  test.each(sandboxCases)("%s %#", (path, change) => {
    const error = errorOf(() => encodeSandbox({ ...minimalSandbox, ...change }));
    expect(error.code).toBe("internal");
    expect(error.message).toMatch(new RegExp(`^plan: ${path.replace(/[.[\]]/g, "\\$&")}: must `));
  });
  const execCases: readonly (readonly [string, Partial<ExecPlan>])[] = [
    ["exec.argv[1].text", { argv: ["a", "b\0"] }],
    ["exec.umask", { umask: 0o1000 }],
    ["exec.mechanisms", { mechanisms: [1] }],
    ["exec.mechanisms[0]", { mechanisms: new Array<number>(15).fill(9) }],
    ["exec.filesIn[0].target", { filesIn: [{ hostPath: "/a", target: "../a", mode: 0 }] }],
    ["exec.filesIn[0].target", { filesIn: [{ hostPath: "/a", target: "/a", mode: 0 }] }],
    ["exec.filesOut[0].source", { filesOut: [{ source: "", hostPath: "/a", maxBytes: 0n }] }],
    ["exec.cgroupWrites[0].file", { cgroupWrites: [{ hierarchy: 0, file: "../x", value: "", limit: "memory", optional: false }] }],
    ["exec.cgroupWrites[0].file", { cgroupWrites: [{ hierarchy: 0, file: "..", value: "", limit: "memory", optional: false }] }],
    ["exec.rlimits[0].resource", { rlimits: [{ resource: 16, soft: 0n, hard: 0n }] }],
    ["exec.argv", { argv: "sh" as unknown as readonly string[] }],
  ];
  test.each(execCases)("%s %#", (path, change) => {
    const error = errorOf(() => encodeExec({ ...minimalExec, ...change }));
    expect(error.code).toBe("internal");
    expect(error.message).toMatch(new RegExp(`^plan: ${path.replace(/[.[\]]/g, "\\$&")}: must `));
  });
  test("too large as a whole or in entries is the caller's mistake", () => {
    const large = errorOf(() => encodeExec({ ...minimalExec, argv: ["x".repeat(wireMaxPlanBytes)] }));
    expect(large.code).toBe("usage");
    expect(large.message).toContain("more than 4194304 bytes");
    expect(errorOf(() => encodeExec({ ...minimalExec, groups: new Array<number>(65537).fill(0) })).code).toBe("usage");
  });
});
