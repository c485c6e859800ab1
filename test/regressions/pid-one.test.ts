// Kind of fault: the program is process 1 of its namespace, whose signals the kernel treats otherwise and whose orphans nobody reaps.
import { constants } from "node:os";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox } from "../helpers/attack.ts";
import { belljarRun } from "../helpers/belljar.ts";

needs("userns")("abort() is SIGABRT", async () => {
  const { report, code } = await attackInSandbox("behave", ["abort"]);
  expect(report).toMatchObject({ verdict: "signaled", signal: "SIGABRT", exitCode: null });
  expect(code).toBe(128 + constants.signals.SIGABRT);
});

needs("userns")("a signal to itself is that signal", async () => {
  for (const name of ["SIGTERM", "SIGUSR1", "SIGINT", "SIGHUP", "SIGKILL", "SIGALRM", "SIGQUIT"] as const) {
    const { report, code } = await attackInSandbox("behave", ["raise", String(constants.signals[name])]);
    expect(report).toMatchObject({ verdict: "signaled", signal: name, exitCode: null });
    expect(code).toBe(128 + constants.signals[name]);
  }
});

needs("userns")("orphans are reaped: 500 of them leave no zombie", async () => {
  const { tries } = await attackInSandbox("behave", ["orphans", "500"]);
  expect(tries.of("zombies").result).toBe(0);
});

needs("userns")("the program is not process 1 and process 1 is its parent", async () => {
  const { tries } = await attackInSandbox("behave", ["state"]);
  expect(tries.of("pid").result).toBeGreaterThan(1);
  expect(tries.of("parent").result).toBe(1);
  expect(tries.of("is-session-leader").result).toBe(1);
});

needs("userns")("a shell that the program starts sees its own children's signals", async () => {
  const result = await belljarRun(["--", "sh", "-c", 'sh -c "kill -9 \\$\\$"; echo $?']);
  expect(result.stdout).toBe("137\n");
});
