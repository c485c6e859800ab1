import { describe, expect, test } from "vitest";
import { BelljarError } from "../../../policy/errors.ts";
import { decodeOutput, decodeRecord, decodeSample } from "../../../policy/wire/index.ts";
import { wireRecords } from "../../../policy/wire/wire.gen.ts";
import { encodeFixed, okRecord } from "./samples.ts";

const fails = (bytes: Uint8Array): BelljarError => {
  try {
    decodeRecord(bytes);
  } catch (error) {
    if (error instanceof BelljarError) return error;
  }
  throw new Error("no BelljarError was thrown");
};

describe("the run record", () => {
  test("comes back as written", () => {
    const record = { ...okRecord, errorStep: "filesystem" as const, errorStage: "init" as const, errorErrno: -2, errorText: "/data/ü" };
    expect(decodeRecord(encodeFixed("RunRecord", { ...record }))).toEqual(record);
  });
  test("a text that fills its field, or is cut inside a character, still reads", () => {
    const bytes = encodeFixed("RunRecord", { ...okRecord });
    const at = wireRecords["RunRecord"]?.fields.find((f) => f.name === "errorText")?.offset ?? 0;
    bytes.fill(0x61, at, at + 256);
    expect(decodeRecord(bytes).errorText).toBe("a".repeat(256));
    bytes[at + 255] = 0xc3;
    expect(decodeRecord(bytes).errorText).toBe(`${"a".repeat(255)}\ufffd`);
  });
  test.each([
    ["magic", { magic: 1n }],
    ["version", { version: 2 }],
    ["size", { size: 8 }],
  ])("of another %s is refused", (_name, change) => {
    const error = fails(encodeFixed("RunRecord", { ...okRecord, ...change }));
    expect(error.code).toBe("launcher-failed");
    expect(error.message).toContain("different versions");
  });
  test("with a verdict that no table has is refused", () => {
    expect(fails(encodeFixed("RunRecord", { ...okRecord, verdict: 13 })).message).toContain("no verdict (13)");
  });
  test("of another length is refused", () => {
    expect(fails(new Uint8Array(511)).message).toContain("511 bytes where 544 were due");
  });
  test("with a value that no enum has is refused", () => {
    const bytes = encodeFixed("RunRecord", { ...okRecord });
    const at = wireRecords["RunRecord"]?.fields.find((f) => f.name === "startFailure")?.offset ?? 0;
    new DataView(bytes.buffer).setUint32(at, 99, true);
    const error = fails(bytes);
    expect(error.code).toBe("launcher-failed");
    expect((error.cause as BelljarError).message).toBe("plan: RunRecord.startFailure: unknown value");
  });
});

test("the output record comes back as written", () => {
  const output = { index: 1, failure: "tooBig" as const, error: -27, reserved: 0, bytes: 2n ** 40n };
  expect(decodeOutput(encodeFixed("OutputRecord", output))).toEqual(output);
  expect(() => decodeOutput(new Uint8Array(8))).toThrow("8 bytes where 24 were due");
});

test("a sample comes back as written", () => {
  const sample = { atNs: 50_000_000n, cpuNs: 49_000_000n, memoryBytes: 2n ** 40n, processes: 3n, cpuExact: 1, reserved: 0 };
  expect(decodeSample(encodeFixed("SampleRecord", sample))).toEqual(sample);
  expect(() => decodeSample(new Uint8Array(8))).toThrow("8 bytes where 40 were due");
});
