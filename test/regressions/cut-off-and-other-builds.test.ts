// Kind of fault: what the caller did is called a failure of the sandbox, or the cause of a failure is not named.
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarRun, startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { tempDir } from "../helpers/places.ts";

/** A launcher that reads the plan, says that it is there, and then does what the text says. */
function launcher(text: string, version = "echo belljar-launch wire 0000000000000000"): string {
  const path = join(tempDir("launcher"), "launcher");
  writeFileSync(path, `#!/bin/sh\nif [ "$1" = version ]; then ${version}; exit 0; fi\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
  ["SIGHUP", 129],
] as const)("a second %s cuts the run off, and it is cancelled", async (signal, code) => {
  // Deaf to the first, as one that hangs would be; gone with its lifeline.
  const deaf = launcher("trap '' INT TERM HUP; echo started; cat <&3 >/dev/null");
  const run = startBelljar(["run", "--", "true"], { env: { BELLJAR_LAUNCHER: deaf } });
  await until(() => run.output().includes("started"), { what: "the launcher to start" });
  const pid = await run.pid;
  process.kill(pid, signal);
  // Two signals at once may arrive as one; a third could meet a command that is ending.
  await until(() => !existsSync(`/proc/${pid}`) || /^ShdPnd:\s*0+$/m.test(readFileSync(`/proc/${pid}/status`, "utf8")), {
    what: "the first signal to be taken",
  });
  if (existsSync(`/proc/${pid}`)) process.kill(pid, signal);
  const result = await run.result;
  expect(result.code).toBe(code);
  expect(result.report).toMatchObject({ verdict: "cancelled", signal, error: null, time: { wallMs: null } });
});

test("a launcher of another build is named", async () => {
  for (const text of ["head -c 16 <&3 >/dev/null; exit 3", "exit 0", "printf 'AAAABBBBCCCC' >&3; exit 0"]) {
    const path = launcher(text);
    const result = await belljarRun(["--", "true"], { env: { BELLJAR_LAUNCHER: path } });
    expect(result.code, text).toBe(125);
    expect(result.report.error, text).toMatchObject({
      code: "launcher-failed",
      hint: expect.stringContaining(`'${path}' is of another build`),
    });
  }
});

needs("userns")("one of the same build that fails is not", async () => {
  const real = join(import.meta.dirname, "../../native/build/belljar-launch");
  const result = await belljarRun(["--", "true"], { env: { BELLJAR_LAUNCHER: launcher("exit 3", `${real} version`) } });
  expect(result.report.error).toMatchObject({
    code: "launcher-failed",
    message: "running the launcher: it exited with status 3 and no record",
    hint: null,
  });
});

needs("userns")("a missing script is a missing command, however it is named", async () => {
  for (const args of [["--script", "nosuch.py"], ["./nosuch.py"], ["--", "nosuch"]]) {
    expect((await belljar(["run", ...args], { report: false })).code, args.join(" ")).toBe(127);
  }
});

needs("userns")("a program that is on the host only is told where it is looked for", async () => {
  const cwd = tempDir("outside");
  writeFileSync(join(cwd, "a.py"), "print(1)");
  const hint = async (...args: string[]) => (await belljar(["run", ...args], { cwd, report: false })).stderr.split("\n")[1];
  expect(await hint("--", "a.py")).toContain("did you mean './a.py'?");
  expect(await hint("--", join(cwd, "a.py"))).toContain(`--script ${join(cwd, "a.py")}`);
  expect(await hint("--", "pyhton3")).toBe("hint: did you mean 'python3'?");
});
