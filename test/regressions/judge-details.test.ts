// Kind of fault: what a launcher inherits or sets for itself changes the verdict of a submission.
import { readdirSync } from "node:fs";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox } from "../helpers/attack.ts";
import { belljarCommand, belljarRun, startBelljar } from "../helpers/belljar.ts";
import { within } from "../helpers/deadline.ts";

needs("userns")("a writer whose reader has gone dies of SIGPIPE, inside a pipeline and at our own end", async () => {
  const inner = await belljarRun(["--", "bash", "-c", "set -o pipefail; yes | head -1"]);
  expect(inner.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 141 });
  expect(inner.stdout).toBe("y\n");
  const own = await belljarRun(["--", "sh", "-c", "exec 3>&1; trap : EXIT; yes >&3"], {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's, not ours
    program: ["bash", "-c", '"$@" | head -1 >/dev/null; exit "${PIPESTATUS[0]}"', "bash", ...belljarCommand],
  });
  expect(own.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 141 });
});

needs("userns")("a C program that writes to a closed stdout dies of signal 13", async () => {
  const result = await attackInSandbox("attack-supervisor", ["flood"], {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's, not ours
    program: ["bash", "-c", '"$@" | head -c 10 >/dev/null; exit "${PIPESTATUS[0]}"', "bash", ...belljarCommand],
    run: ["-q"],
  });
  expect(result.code).toBe(141);
  expect(result.report).toMatchObject({ verdict: "signaled", signal: "SIGPIPE" });
});

const mebibytes = (count: number): string => String(count * 1024 * 1024);

needs("userns")("64 MiB of recursion: a crash with a stack of 8 MiB, fine with 256 MiB and without a limit", async () => {
  const small = await attackInSandbox("behave", ["recurse", mebibytes(64)], { run: ["--stack", "8M"] });
  expect(small.report).toMatchObject({ verdict: "signaled", signal: "SIGSEGV" });
  for (const stack of ["256M", "none"]) {
    const large = await attackInSandbox("behave", ["recurse", mebibytes(64)], { run: ["--stack", stack] });
    expect([stack, large.report?.verdict, large.code]).toEqual([stack, "ok", 0]);
  }
});

needs("userns", "python3")("a file that grows beyond its limit: SIGXFSZ for C, an exception for Python", async () => {
  const c = await attackInSandbox("behave", ["write-file", "big", "100000"], { run: ["--file-size", "50000"] });
  expect(c.report).toMatchObject({ verdict: "signaled", signal: "SIGXFSZ" });
  const python = await belljarRun(["--file-size", "50000", "--", "python3", "-c", "open('big', 'wb').write(b'x' * 100000)"]);
  expect(python.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 1 });
  expect(python.stderr).toContain("File too large");
});

needs("userns")("a crash leaves no core file, inside or outside", async () => {
  const result = await belljarRun(["--", "sh", "-c", "ulimit -c unlimited 2>/dev/null; sh -c 'kill -SEGV $$'; ls -A /work | wc -l"]);
  expect(result.stdout.trim()).toBe("0");
  expect(readdirSync(".").filter((name) => /^core(\.|$)/.test(name))).toEqual([]);
});

needs("userns")(
  "the same verdicts from 24 runs at once as from one after the other",
  async () => {
    const kinds = [
      { args: ["exit", "0"], verdict: "ok" },
      { args: ["exit", "9"], verdict: "exit-nonzero" },
      { args: ["abort"], verdict: "signaled" },
      { args: ["print", "5000"], verdict: "output-limit" },
      { args: ["spin", "60000"], verdict: "cpu-time-limit" },
      { args: ["pause"], verdict: "wall-time-limit" },
    ] as const;
    const run = ["-q", "--output", "4096", "--cpu-time", "200ms", "--wall-time", "6s"];
    const pauseRun = ["-q", "--output", "4096", "--cpu-time", "none", "--wall-time", "1s"];
    const results = await Promise.all(
      Array.from({ length: 24 }, async (_, i) => {
        const { args, verdict } = kinds[i % kinds.length] as (typeof kinds)[number];
        const { report } = await attackInSandbox("behave", args, { run: args[0] === "pause" ? pauseRun : run, deadlineMs: 50_000 });
        return [args.join(" "), verdict, report?.verdict];
      }),
    );
    expect(results.filter(([, wanted, got]) => wanted !== got)).toEqual([]);
  },
  60_000,
);

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  needs("userns")(`${signal} to the command ends the run; its report says cancelled`, async () => {
    const handle = startBelljar(["run", "--", "sh", "-c", "echo started; exec sleep 30"]);
    await within(new Promise((resolve) => handle.stdout.once("data", resolve)), { what: "the program's start", timeoutMs: 5000 });
    process.kill(await handle.pid, signal);
    const result = await handle.result;
    expect(result.code).toBe(code);
    expect(result.stdout).toBe("started\n");
    expect(result.report).toMatchObject({ verdict: "cancelled", exitCode: null, signal });
  });
}

needs("userns")("a second signal does not break the end of the first", async () => {
  const handle = startBelljar(["run", "--", "sh", "-c", "trap '' TERM INT; echo started; while :; do sleep 1; done"]);
  await within(new Promise((resolve) => handle.stdout.once("data", resolve)), { what: "the program's start", timeoutMs: 5000 });
  const pid = await handle.pid;
  process.kill(pid, "SIGTERM");
  process.kill(pid, "SIGINT");
  const result = await handle.result;
  expect([130, 143]).toContain(result.code);
  expect(result.report).toMatchObject({ verdict: "cancelled" });
});
