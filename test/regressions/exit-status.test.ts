// Kind of fault: one number for what the program said, what killed it, and what went wrong on our side.
import { constants } from "node:os";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox } from "../helpers/attack.ts";
import { belljarRun } from "../helpers/belljar.ts";

needs("userns")("every exit code is the program's own, those that shells and we use as well", async () => {
  for (const code of [0, 1, 2, 124, 125, 126, 127, 128, 130, 134, 137, 139, 143, 255]) {
    const result = await attackInSandbox("behave", ["exit", String(code)], { run: ["-q"] });
    expect(result.report).toMatchObject({ verdict: code === 0 ? "ok" : "exit-nonzero", exitCode: code, signal: null, error: null });
    expect(result.code).toBe(code);
  }
});

needs("userns")("exit(256) is 0: the kernel keeps eight bits", async () => {
  const { report } = await attackInSandbox("behave", ["exit", "256"]);
  expect(report).toMatchObject({ verdict: "ok", exitCode: 0 });
});

needs("userns")("a signal is a signal", async () => {
  const { signals } = constants;
  const wanted = {
    SIGINT: signals.SIGINT,
    SIGABRT: signals.SIGABRT,
    SIGKILL: signals.SIGKILL,
    SIGSEGV: signals.SIGSEGV,
    SIGPIPE: signals.SIGPIPE,
    SIGTERM: signals.SIGTERM,
    SIGXCPU: signals.SIGXCPU,
    SIGXFSZ: signals.SIGXFSZ,
    SIGSYS: signals.SIGSYS,
  };
  for (const [name, number] of Object.entries(wanted)) {
    const result = await attackInSandbox("behave", ["raise", String(number)]);
    // SIGSYS is what a filter kills by: it has a verdict of its own.
    expect(result.report).toMatchObject({ verdict: "signaled", signal: name, exitCode: null });
    expect(result.code).toBe(128 + number);
  }
  const realTime = await attackInSandbox("behave", ["raise", "34"]);
  expect(realTime.report).toMatchObject({ verdict: "signaled", signal: "SIGRTMIN" });
  expect(realTime.code).toBe(162);
});

needs("userns")("a shell's 137 is an exit code, not a signal and not memory", async () => {
  const result = await belljarRun(["--", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]);
  expect(result.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 137, signal: null });
});

needs("userns")("a crash is SIGSEGV, and leaves no core", async () => {
  const result = await attackInSandbox("behave", ["crash", "8"], { run: ["--out", "core"] });
  expect(result.report).toMatchObject({
    verdict: "signaled",
    signal: "SIGSEGV",
    outputs: [{ path: "core", bytes: null, error: "no such file" }],
  });
});

needs("userns")("exit 127 of a program is not a missing program", async () => {
  const own = await belljarRun(["--", "sh", "-c", "exit 127"]);
  expect(own.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 127, error: null });
  const missing = await belljarRun(["--", "nosuch"]);
  expect(missing.report).toMatchObject({ verdict: "start-failed", exitCode: null });
  expect(own.code).toBe(missing.code);
});

needs("userns")("a limit is 124 whatever the program would have said", async () => {
  const result = await belljarRun(["--wall-time", "200ms", "--cpu-time", "none", "--", "sleep", "30"]);
  expect(result.code).toBe(124);
  expect(result.report).toMatchObject({ verdict: "wall-time-limit", exitCode: null });
});
