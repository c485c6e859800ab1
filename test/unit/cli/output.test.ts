import { describe, expect, test } from "vitest";
import {
  errorText,
  outputsText,
  painter,
  toBelljarError,
  usageText,
  verdictText,
  wantsColour,
  warningText,
} from "../../../cli/output/human.ts";
import { errorDocument, factsDocument, runDocument } from "../../../cli/output/json.ts";
import { table } from "../../../cli/output/table.ts";
import { BelljarError } from "../../../policy/errors.ts";
import type { RunReport } from "../../../policy/verdict/report-types.ts";

const report: RunReport = {
  schemaVersion: 1,
  verdict: "exit-nonzero",
  exitCode: 3,
  signal: null,
  message: "exited with code 3",
  time: { wallMs: 12.345, cpuMs: 8, userMs: null, systemMs: null, cpuExact: false, setupMs: 1 },
  memory: { peakBytes: 1536 * 1024, oomKills: null },
  processes: { peak: null, limitHits: null },
  disk: { usedBytes: 0, usedInodes: 0, full: null },
  output: { stdoutBytes: 6, stderrBytes: 0, stdoutTruncated: true, stderrTruncated: false, truncated: true },
  outputs: [{ path: "a\u001b[31m", bytes: null, error: "not there" }],
  limits: {},
  enforcement: { memory: "cgroup2" },
  samples: null,
  denials: null,
  sandbox: {
    profile: "default",
    profileDigest: "",
    filterDigest: null,
    rootfs: "host",
    image: null,
    overlay: null,
    user: "single",
    writableVolumes: ["/data"],
    landlockAbi: null,
  },
  error: null,
};

describe("for people", () => {
  test("an error is one line and one hint", () => {
    const error = new BelljarError("usage", "reading options: '--x': unknown option", { hint: "did you mean '--y'?" });
    expect(errorText(error)).toBe("belljar: reading options: '--x': unknown option\nhint: did you mean '--y'?\n");
    expect(errorText(new BelljarError("usage", "a"))).toBe("belljar: a\n");
  });
  test("nothing of what an error quotes reaches the terminal as a command", () => {
    expect(errorText({ message: "a\u001b[2J", hint: "b\u0007\nc" })).toBe("belljar: a\\x1b[2J\nhint: b\\x07\\nc\n");
    expect(warningText("x\u202e")).toBe("belljar: warning: x\\u{202e}\n");
    expect(usageText(report)).not.toContain("\u001b");
  });
  test("every verdict but ok has its line, a failure its own words and hint", () => {
    expect(verdictText(report)).toBe("belljar: exit-nonzero: exited with code 3\n");
    expect(verdictText({ ...report, verdict: "ok" })).toBe("");
    const failed = {
      ...report,
      verdict: "sandbox-error" as const,
      error: { code: "sandbox-failed" as const, message: "clone: EPERM", hint: "do this" },
    };
    expect(verdictText(failed)).toBe("belljar: sandbox-error: clone: EPERM\nhint: do this\n");
  });
  test("a file that was not copied out is named, and one that was is not", () => {
    expect(outputsText(report)).toBe("belljar: copying out: 'a\\x1b[31m': not there\n");
    expect(outputsText({ ...report, outputs: [{ path: "a", bytes: 1, error: null }] })).toBe("");
  });
  test("what is not known is not said as a figure", () => {
    const text = usageText(report);
    expect(text).toMatch(/CPU time +at least 8 ms \(user not measured, system not measured\)\n/);
    expect(text).toMatch(/peak processes +not measured\n/);
    expect(text).toMatch(/peak memory +1\.5 MiB\n/);
    expect(text).toMatch(/writable volume +\/data\n/);
    expect(text).toMatch(/enforced by +memory cgroup2\n/);
  });
  test("colour on terminals only, and never against NO_COLOR", () => {
    expect(wantsColour({ isTTY: true }, {})).toBe(true);
    expect(wantsColour({ isTTY: true }, { NO_COLOR: "1" })).toBe(false);
    expect(wantsColour({ isTTY: true }, { NO_COLOR: "" })).toBe(true);
    expect(wantsColour({ isTTY: true }, { TERM: "dumb" })).toBe(false);
    expect(wantsColour({}, {})).toBe(false);
    expect(errorText({ message: "a", hint: null }, painter(true))).toBe("\u001b[31mbelljar:\u001b[0m a\n");
  });
  test("a foreign error is internal, ours stays what it is", () => {
    expect(toBelljarError(new TypeError("x is not a function"))).toMatchObject({
      code: "internal",
      message: "internal error: x is not a function",
    });
    expect(toBelljarError("text")).toMatchObject({ code: "internal" });
    const ours = new BelljarError("usage", "a");
    expect(toBelljarError(ours)).toBe(ours);
  });
  test("a table aligns its columns and leaves no blanks at the ends", () => {
    expect(
      table([
        ["a", "bbb", "c"],
        ["aaaa", "b", ""],
        ["\u001b", "x", "y"],
      ]),
    ).toBe("a     bbb  c\naaaa  b\n\\x1b  x    y\n");
  });
});

describe("for programs", () => {
  const bytes = (...values: number[]) => new Uint8Array(values);
  test("streams are text, or base64 under another name", () => {
    const document = JSON.parse(runDocument(report, bytes(104, 105), bytes(0xff)));
    expect(document).toEqual({ report: JSON.parse(JSON.stringify(report)), stdout: "hi", stderrBase64: "/w==" });
  });
  test("a byte order mark is part of the text", () => {
    expect(JSON.parse(runDocument(report, bytes(0xef, 0xbb, 0xbf, 65), bytes())).stdout).toBe("\ufeffA");
  });
  test("documents are ASCII where a terminal would act on a character, and mean the same", () => {
    const hostile = "\u001b\u009b\u202e\u2028\u007f";
    for (const text of [factsDocument({ hostile }), errorDocument(new BelljarError("usage", hostile))]) {
      for (const character of hostile) expect(text).not.toContain(character);
      expect(JSON.stringify(JSON.parse(text))).toContain(JSON.stringify(hostile).slice(1, -1));
    }
  });
  test("an error has code, message and hint", () => {
    expect(JSON.parse(errorDocument(new BelljarError("usage", "a", { hint: "b" })))).toEqual({
      error: { code: "usage", message: "a", hint: "b" },
    });
    expect(JSON.parse(errorDocument(new BelljarError("internal", "a"))).error.hint).toBeNull();
  });
});
