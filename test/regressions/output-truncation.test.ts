// Kind of fault: an output limit that kills without a reason, loses what was written, or is off by one.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox } from "../helpers/attack.ts";
import { belljarRun } from "../helpers/belljar.ts";

const limited = ["--output", "1024"];

needs("userns")("exactly the limit is no excess, one byte more is", async () => {
  const exact = await attackInSandbox("behave", ["print", "1024"], { run: limited });
  expect(exact.report).toMatchObject({ verdict: "ok", output: { stdoutBytes: 1024, truncated: false } });
  const more = await attackInSandbox("behave", ["print", "1025"], { run: limited });
  expect(more.report).toMatchObject({ verdict: "output-limit", output: { truncated: true } });
  expect(more.stdoutBytes.length).toBe(1024);
  expect(more.code).toBe(124);
});

needs("userns")("stdout and stderr are counted apart", async () => {
  const both = await attackInSandbox("behave", ["print", "1024", "1024"], { run: [...limited, "-q"] });
  expect(both.report).toMatchObject({ verdict: "ok", output: { stdoutBytes: 1024, stderrBytes: 1024, truncated: false } });
  const errors = await attackInSandbox("behave", ["print", "0", "1025"], { run: [...limited, "-q"] });
  expect(errors.report).toMatchObject({ verdict: "output-limit", output: { stdoutBytes: 0, truncated: true } });
  expect(errors.stderrBytes.length).toBe(1024);
});

needs("userns")("a flood from a grandchild counts as well", async () => {
  const result = await attackInSandbox("behave", ["print-child", "100000"], { run: limited });
  expect(result.report).toMatchObject({ verdict: "output-limit" });
  expect(result.stdoutBytes.length).toBe(1024);
});

needs("userns")("what was written before a time limit is kept", async () => {
  const result = await attackInSandbox("behave", ["print-pause", "5000"], { run: ["--wall-time", "300ms", "--cpu-time", "none"] });
  expect(result.report).toMatchObject({ verdict: "wall-time-limit", output: { stdoutBytes: 5000 } });
  expect(result.stdoutBytes.length).toBe(5000);
});

needs("userns")("yes: quickly, and with little memory of ours", async () => {
  const result = await belljarRun(["--output", "1M", "--", "yes"]);
  expect(result.report).toMatchObject({ verdict: "output-limit" });
  expect(result.stdoutBytes.length).toBe(1024 * 1024);
  expect(result.wallMs).toBeLessThan(5000);
});

needs("userns")("the same captured by --json", async () => {
  const result = await attackInSandbox("behave", ["print", "1025"], { run: [...limited, "--json"] });
  const document = JSON.parse(result.stdout);
  expect(document).toMatchObject({ stdout: "x".repeat(1024), stderr: "", report: { verdict: "output-limit" } });
});

needs("userns")("a writer that ends in the instant the limit strikes never breaks the tool", async () => {
  const verdicts = new Set<string>();
  for (let round = 0; round < 25; round++) {
    const runs = [0, 1].map((more) => attackInSandbox("behave", ["print", String(1025 + more)], { run: limited }));
    for (const { report, stdoutBytes } of await Promise.all(runs)) {
      expect(stdoutBytes.length).toBe(1024);
      verdicts.add(report?.verdict ?? "none");
    }
  }
  expect([...verdicts]).toEqual(["output-limit"]);
});

needs("userns")("a file-size limit is about files, not pipes", async () => {
  const result = await attackInSandbox("behave", ["print", "100000"], { run: ["--file-size", "1K"] });
  expect(result.report).toMatchObject({ verdict: "ok", output: { stdoutBytes: 100000 } });
});
