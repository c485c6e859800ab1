import { once } from "node:events";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { startBelljar } from "../helpers/belljar.ts";

/** Says that it is there, and on SIGTERM that it goes; then goes or does not. */
const program = (after: string) => `trap 'echo bye; ${after}' TERM; echo ready; while :; do sleep 0.05; done`;

async function cancelled(options: readonly string[], after: string, wishes: number) {
  const run = startBelljar(["run", ...options, "--", "sh", "-c", program(after)]);
  await once(run.stdout, "data");
  const pid = await run.pid;
  for (let wish = 0; wish < wishes; wish++) {
    if (wish > 0) await once(run.stdout, "data"); // "bye": the first has been heard
    process.kill(pid, "SIGINT");
  }
  const { code, stdout, report } = await run.result;
  return { code, stdout, verdict: report?.verdict, exitCode: report?.exitCode, signal: report?.signal };
}

describe("a run that is cancelled", () => {
  const able = needs("userns");
  able("is killed at once, unless the profile says otherwise", async () => {
    expect(await cancelled([], "exit 7", 1)).toEqual({
      code: 130,
      stdout: "ready\n",
      verdict: "cancelled",
      exitCode: null,
      signal: "SIGINT",
    });
  });
  able("gets the stop signal first, and may end by itself: cancelled all the same", async () => {
    expect(await cancelled(["--stop-signal", "TERM"], "exit 7", 1)).toMatchObject({
      code: 130,
      stdout: "ready\nbye\n",
      verdict: "cancelled",
    });
  });
  able("is killed when it takes longer than the timeout", async () => {
    const run = await cancelled(["--stop-signal", "SIGTERM", "--stop-timeout", "2s"], ":", 1);
    expect(run).toMatchObject({ code: 130, stdout: "ready\nbye\n", verdict: "cancelled" });
  });
  able("is killed at the second wish", async () => {
    const run = await cancelled(["--stop-signal", "SIGTERM", "--stop-timeout", "10m"], ":", 2);
    expect(run).toMatchObject({ code: 130, stdout: "ready\nbye\n", verdict: "cancelled" });
  });
  able("ends at its other limits meanwhile, too", async () => {
    const run = await cancelled(["--stop-signal", "SIGTERM", "--stop-timeout", "10m", "--wall-time", "2s"], ":", 1);
    expect(run).toMatchObject({ code: 130, verdict: "cancelled" });
  });
});
