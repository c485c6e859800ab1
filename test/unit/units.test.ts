import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BelljarError } from "../../policy/errors.ts";
import {
  cpusOfList,
  formatCpuList,
  formatDuration,
  formatFileMode,
  formatSize,
  maxDurationMs,
  parseDuration,
  parseSize,
  quoteValue,
  type Reading,
  readCount,
  readCpuList,
  readCpus,
  readDuration,
  readFileMode,
  readSize,
  spellDuration,
  spellSize,
} from "../../policy/units.ts";

const read = <T>(reading: Reading<T>): T | string => (reading.ok ? reading.value : reading.problem);
const refused = (reading: Reading<unknown>): string => {
  expect(reading.ok).toBe(false);
  return reading.ok ? "" : reading.problem;
};
/** Values that no unit takes. */
const nonsense: readonly unknown[] = [
  "64 potatoes",
  "",
  " ",
  "-1",
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  1e308,
  "1e308",
  "1e3",
  "0x10",
  "NaN",
  "Infinity",
  "٣",
  "1,5",
  ".5",
  "5.",
  "1 2",
  true,
  null,
  undefined,
  {},
  [],
  ["64"],
  "9".repeat(100),
  2 ** 53,
];

describe("sizes", () => {
  test.each([
    [65536, 65536],
    ["65536", 65536],
    ["64K", 65536],
    ["64k", 65536],
    ["64KiB", 65536],
    ["64M", 67108864],
    ["64 MiB", 67108864],
    ["1.5G", 1610612736],
    ["0.5K", 512],
    ["1T", 2 ** 40],
    ["10B", 10],
    ["0", 0],
  ])("%j is %d bytes", (written, bytes) => expect(read(readSize(written))).toBe(bytes));

  test.each(nonsense.map((value) => [value]))("refuses %j", (value) => expect(refused(readSize(value))).toContain("(got "));

  test("names good examples and what it got", () => {
    expect(refused(readSize("64 potatoes"))).toBe('must be a size such as "64M", "1.5G" or 65536 (bytes) (got "64 potatoes")');
    expect(refused(readSize("x", { or: "null for no limit" }))).toContain("(bytes), or null for no limit (got ");
  });
  test("refuses what is not whole, too large or ambiguous", () => {
    expect(refused(readSize("0.3K"))).toContain("a whole number of bytes");
    expect(refused(readSize("8192T"))).toContain("at most 8 PiB");
    expect(read(readSize("9007199254740991"))).toBe(Number.MAX_SAFE_INTEGER);
    expect(refused(readSize("9007199254740992"))).toContain("at most");
    expect(refused(readSize("64MB"))).toContain('write "64M" or "64MiB"');
    expect(refused(readSize(0, { min: 1 }))).toContain("more than 0");
  });
  test("what is spelled reads back", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(read(readSize(spellSize(bytes)))).toBe(bytes);
        expect(read(readSize(bytes))).toBe(bytes);
      }),
    );
  });
  test("decimals are exact: every multiple of 1/1024 GiB", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4096 * 1024 }), (mebibytes) => {
        const text = (mebibytes / 1024).toFixed(10);
        expect(read(readSize(`${text}G`))).toBe(mebibytes * 2 ** 20);
      }),
    );
  });
});

describe("durations", () => {
  test.each([
    ["500ms", 500],
    ["2s", 2000],
    ["1.5s", 1500],
    ["0.001s", 1],
    ["1m", 60_000],
    ["1min", 60_000],
    ["1h", 3_600_000],
    ["8760h", maxDurationMs],
    [1500, 1500],
    ["1500", 1500],
    ["0.3s", 300],
  ])("%j is %d ms", (written, ms) => expect(read(readDuration(written))).toBe(ms));

  test.each(nonsense.map((value) => [value]))("refuses %j", (value) => expect(refused(readDuration(value))).toContain("(got "));

  test("refuses what is not whole or too long", () => {
    expect(refused(readDuration("0.5ms"))).toContain("a whole number of milliseconds");
    expect(refused(readDuration(1.5))).toContain("a whole number of milliseconds");
    expect(refused(readDuration("8761h"))).toContain("at most 8760 h");
    expect(refused(readDuration("64M"))).toContain('such as "500ms"');
    expect(refused(readDuration("2 days"))).toContain('such as "500ms"');
  });
  test("what is spelled reads back", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: maxDurationMs }), (ms) => {
        expect(read(readDuration(spellDuration(ms)))).toBe(ms);
      }),
    );
  });
});

describe("counts, CPUs, CPU lists, modes", () => {
  test.each(nonsense.map((value) => [value]))("counts refuse %j", (value) => expect(refused(readCount(value))).toContain("(got "));
  test("counts are whole", () => {
    expect(read(readCount("32"))).toBe(32);
    expect(refused(readCount(1.5))).toContain("a whole number such as 64");
    expect(refused(readCount("1K"))).toContain("a whole number such as 64");
    expect(refused(readCount(5_000_000, { max: 4_194_304 }))).toContain("at most 4194304");
  });
  test.each(nonsense.map((value) => [value]))("CPUs refuse %j", (value) => expect(refused(readCpus(value))).toContain("(got "));
  test("CPUs are hundredths", () => {
    expect(read(readCpus("1.5"))).toBe(1.5);
    expect(read(readCpus(0.01))).toBe(0.01);
    expect(read(readCpus(0.07))).toBe(0.07);
    for (const bad of [0, "0", 0.001, "0.015", 8193]) expect(refused(readCpus(bad))).toContain("in steps of 0.01");
  });
  test("CPU lists become canonical", () => {
    expect(read(readCpuList("3,0-1,2,8"))).toBe("0-3,8");
    expect(read(readCpuList(" 5 , 5 "))).toBe("5");
    expect(read(readCpuList(0))).toBe("0");
    for (const bad of ["", "1-", "-1", "3-1", "0-8192", "a", "0;1", null, -1])
      expect(refused(readCpuList(bad))).toContain("a CPU list such as");
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(8191), { minLength: 1, maxLength: 40 }), (cpus) => {
        expect(cpusOfList(formatCpuList(cpus))).toEqual([...cpus].sort((a, b) => a - b));
        expect(read(readCpuList(cpus.join(",")))).toBe(formatCpuList(cpus));
      }),
    );
  });
  test("modes are octal text", () => {
    expect(read(readFileMode("022"))).toBe(0o22);
    expect(read(readFileMode("1777"))).toBe(0o1777);
    expect(read(readFileMode("0o755"))).toBe(0o755);
    for (const bad of [755, "8", "", "-1", "077777", "0x1ff", null])
      expect(refused(readFileMode(bad))).toContain("an octal mode in quotes");
    expect(refused(readFileMode("1000", { max: 0o777 }))).toContain('"022"');
    expect(formatFileMode(0o22)).toBe("0022");
  });
});

describe("words for people", () => {
  test.each([
    [0, "0 bytes"],
    [1, "1 byte"],
    [1023, "1023 bytes"],
    [65536, "64 KiB"],
    [67108864, "64 MiB"],
    [1610612736, "1.5 GiB"],
    [1234567, "1.18 MiB"],
    [2 ** 20 - 1, "1 MiB"],
    [Number.MAX_SAFE_INTEGER, "8 PiB"],
  ])("%d bytes: %s", (bytes, words) => expect(formatSize(bytes)).toBe(words));
  test.each([
    [0, "0 ms"],
    [12.44, "12.4 ms"],
    [999, "999 ms"],
    [1500, "1.5 s"],
    [60_000, "60 s"],
    [120_000, "2 min"],
    [90 * 60_000, "90 min"],
    [7_200_000, "2 h"],
  ])("%d ms: %s", (ms, words) => expect(formatDuration(ms)).toBe(words));

  test("values are quoted without control characters, and short", () => {
    expect(quoteValue("a\u001b[31m\u009b\u202e\n")).toBe('"a\\u001b[31m\\u009b\\u202e\\n"');
    expect(quoteValue("x".repeat(5000)).length).toBeLessThan(120);
    expect(quoteValue(Number.NaN)).toBe("NaN");
    expect(quoteValue(undefined)).toBe("undefined");
  });
  test("the throwing forms are usage errors that name the option", () => {
    expect(parseSize("64M", "--memory")).toBe(67108864);
    expect(() => parseSize("64 potatoes", "--memory")).toThrowError(/^--memory: must be a size such as/);
    expect(() => parseDuration("soon", "--cpu-time")).toThrowError(
      expect.objectContaining({ code: "usage" } satisfies Partial<BelljarError>),
    );
  });
});
