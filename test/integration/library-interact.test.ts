// sandbox.interact(): two programs joined by pipes. Whatever either does, both end, and each gets the verdict that is its own.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { compileFile } from "../helpers/compile.ts";
import { within } from "../helpers/deadline.ts";
import { type Api, openSandbox } from "../helpers/library.ts";
import { root } from "../helpers/places.ts";

const python = (text: string): readonly string[] => ["python3", "-c", text];
const shell = (text: string): readonly string[] => ["sh", "-c", text];

type Program = Api.InteractProgram;

/** Both under limits that end the test long before its own deadline does. */
async function interact(judge: Program, contestant: Program, options: Api.InteractOptions & { readonly encoding?: "utf8" } = {}) {
  const sandbox = await openSandbox({ profile: "judge", limits: { wallTime: "20s", cpuTime: "10s" } });
  return within(sandbox.interact(judge, contestant, options), { what: "the end of both programs", timeoutMs: 28_000 });
}

const verdicts = ({ judge, contestant, endedFirst }: Api.InteractResult<string>) => ({
  judge: judge.report.verdict,
  contestant: contestant.report.verdict,
  endedFirst,
});

const guessingJudge = `
import sys
secret, guesses = int(open("secret").read()), 0
for line in sys.stdin:
    guesses += 1
    guess = int(line)
    print("yes" if guess == secret else "low" if guess < secret else "high", flush=True)
    if guess == secret:
        open("score", "w").write(str(guesses))
        sys.exit(0)
sys.exit(1)
`;

describe("a problem that is solved in a conversation", () => {
  needs(
    "userns",
    "python3",
    "g++",
  )("a judge in Python, a contestant in C++: both verdicts, both usages, the judge's files are its own", async () => {
    const program = compileFile(join(root, "test/fixtures/programs/guess.cc"), { compiler: "g++", language: "c++" });
    const result = await interact(
      { command: python(guessingJudge), files: { secret: "271828" }, outputs: ["score"] },
      { command: ["./guess"], files: { guess: { content: readFileSync(program), executable: true } }, outputs: ["secret"] },
    );
    expect(result.judge.report).toMatchObject({ verdict: "ok", exitCode: 0 });
    expect(result.contestant.report).toMatchObject({ verdict: "ok", exitCode: 0, outputs: [{ path: "secret", bytes: null }] });
    const guesses = Number(Buffer.from(result.judge.outputs["score"] as Uint8Array).toString());
    expect(guesses).toBeGreaterThan(5);
    expect(guesses).toBeLessThanOrEqual(20);
    expect(result.contestant.outputs).toEqual({});
    // What each said was counted where it was said.
    expect(result.contestant.report.output.stdoutBytes).toBeGreaterThan(guesses * 2);
    expect(result.judge.report.output.stdoutBytes).toBeGreaterThan(guesses * 4);
    for (const { report } of [result.judge, result.contestant]) expect(report.time.cpuMs).toBeGreaterThan(0);
  });

  needs("userns", "python3")("bytes pass as they are, a megabyte each way", async () => {
    const echo = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)";
    const judge = `
import os, sys, threading
sent = os.urandom(1 << 20)
def send():
    sys.stdout.buffer.write(sent); sys.stdout.buffer.flush(); os.close(1)
thread = threading.Thread(target=send); thread.start()
got = sys.stdin.buffer.read()
thread.join()
sys.exit(0 if got == sent else 1)`;
    const result = await interact({ command: python(judge) }, { command: python(echo) });
    expect(verdicts(result)).toMatchObject({ judge: "ok", contestant: "ok" });
    for (const { report } of [result.judge, result.contestant]) expect(report.output.stdoutBytes).toBe(1 << 20);
  });

  needs("userns")("the program holds pipes, never the socket that joins the supervisors", async () => {
    const look = shell("readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 >&2; ls /proc/self/fd | wc -l >&2");
    const result = await interact({ command: look }, { command: look });
    // The listing itself has a descriptor open.
    for (const { stderr } of [result.judge, result.contestant]) expect(stderr).toMatch(/^pipe:\[\d+\]\npipe:\[\d+\]\npipe:\[\d+\]\n4\n$/);
  });
});

describe("the end of one is seen by the other", () => {
  needs("userns")("the judge dies first: an end of file", async () => {
    const result = await interact({ command: shell("echo go; kill -KILL $$") }, { command: shell("read a; read b || exit 5") });
    expect(verdicts(result)).toEqual({ judge: "signaled", contestant: "exit-nonzero", endedFirst: "judge" });
    expect(result.contestant.report.exitCode).toBe(5);
  });

  // Whoever reads an end of file may have ended before the one who caused it has been waited for.
  needs("userns")("the contestant dies first: an end of file; many times, for the order of the two is a race", async () => {
    const sandbox = await openSandbox({ profile: "judge" });
    for (let i = 0; i < 30; i++) {
      const result = await sandbox.interact({ command: shell("read a || exit 0; exit 1") }, { command: shell("exit 3") });
      expect(verdicts(result)).toEqual({ judge: "ok", contestant: "exit-nonzero", endedFirst: "contestant" });
    }
  });

  needs("userns")("one that could not start is one that has ended", async () => {
    const result = await interact({ command: shell("read a || exit 0; exit 1") }, { command: ["no-such-program"] });
    expect(verdicts(result)).toEqual({ judge: "ok", contestant: "start-failed", endedFirst: "contestant" });
  });

  needs("userns")("who floods a program that has gone gets SIGPIPE", async () => {
    const result = await interact({ command: shell("exec yes") }, { command: shell("read a") });
    expect(verdicts(result)).toEqual({ judge: "signaled", contestant: "ok", endedFirst: "contestant" });
    expect(result.judge.report.signal).toBe("SIGPIPE");
  });

  // Were the supervisor's descriptors closed by its exit only, either would wait for the other until a wall limit.
  needs("userns")("a stream that is closed by a program that lives on is closed for the other", async () => {
    const closesStdout = shell("exec >&-; cat >/dev/null; exit 0");
    const readsToTheEnd = shell("cat >/dev/null; exit 0");
    expect(verdicts(await interact({ command: readsToTheEnd }, { command: closesStdout }))).toMatchObject({
      judge: "ok",
      contestant: "ok",
    });
    const closesStdin = shell("exec <&-; echo closed; while :; do echo; done");
    const writesForEver = shell("read a; trap '' PIPE; yes; exit 7");
    const result = await interact({ command: writesForEver }, { command: closesStdin });
    expect(verdicts(result)).toEqual({ judge: "exit-nonzero", contestant: "signaled", endedFirst: "judge" });
    expect(result.judge.report.exitCode).toBe(7);
  });

  // As much as all pipes on the way hold, and a little less or more: what nobody reads any more must not keep two supervisors waiting for each other.
  needs("userns")(
    "both end with output that nobody has read",
    async () => {
      for (let kilobytes = 100; kilobytes <= 500; kilobytes += 50) {
        const writes = shell(`head -c ${kilobytes}K /dev/zero`);
        const limits = { wallTime: "3s" };
        const result = await interact({ command: writes, limits }, { command: writes, limits });
        for (const { report } of [result.judge, result.contestant])
          expect([kilobytes, report.verdict], report.message).toEqual([
            kilobytes,
            expect.stringMatching(/^(ok|wall-time-limit|signaled|exit-nonzero)$/),
          ]);
      }
    },
    60_000,
  );
});

describe("no deadlock", () => {
  needs("userns")("both spin: each uses up its CPU time", async () => {
    const spin = { command: shell("while :; do :; done"), limits: { cpuTime: "300ms" } };
    const result = await interact(spin, spin);
    expect(verdicts(result)).toMatchObject({ judge: "cpu-time-limit", contestant: "cpu-time-limit" });
  });

  needs("userns")("both wait: the shorter wall limit ends it, and the other reads an end of file", async () => {
    const waits = shell("read a || exit 9");
    const result = await interact({ command: waits, limits: { wallTime: "15s" } }, { command: waits, limits: { wallTime: "400ms" } });
    expect(verdicts(result)).toEqual({ judge: "exit-nonzero", contestant: "wall-time-limit", endedFirst: "contestant" });
    expect(result.judge.report.exitCode).toBe(9);
  });

  needs("userns")("both flood and never read: both are held up, and both wall limits end them", async () => {
    const floods = {
      command: shell("while :; do echo 0123456789012345678901234567890123456789; done; sleep 60"),
      limits: { wallTime: "1s" },
    };
    const result = await interact(floods, floods);
    // The first to be ended breaks the other's pipe.
    const first = result.endedFirst === "judge" ? result.judge : result.contestant;
    expect(first.report.verdict).toBe("wall-time-limit");
    // No more than what lies in the pipes on the way.
    for (const { report } of [result.judge, result.contestant]) expect(report.output.stdoutBytes).toBeLessThan(2 << 20);
  });

  needs("userns")("a flood is counted, and ends at its output limit, to the byte", async () => {
    const result = await interact({ command: shell("cat >/dev/null") }, { command: shell("exec yes"), limits: { output: "3M" } });
    expect(verdicts(result)).toEqual({ judge: "ok", contestant: "output-limit", endedFirst: "contestant" });
    expect(result.contestant.report.output).toMatchObject({ stdoutBytes: 3 << 20, truncated: true });
  });
});

describe("what the caller may do", () => {
  needs("userns")("an abort ends both; before the start nothing begins", async () => {
    const sandbox = await openSandbox({ profile: "judge", limits: { wallTime: "20s" } });
    const controller = new AbortController();
    const waits: Program = { command: shell("echo up >&2; read a"), onStderr: () => controller.abort() };
    const result = await sandbox.interact({ command: shell("read a") }, waits, { signal: controller.signal });
    expect(result.contestant.report.verdict).toBe("cancelled");
    expect(["cancelled", "exit-nonzero"]).toContain(result.judge.report.verdict);
    await expect(sandbox.interact(waits, waits, { signal: controller.signal })).rejects.toMatchObject({ code: "cancelled" });
  });

  needs("userns")(
    "an abort at any moment settles both, and leaves nothing",
    async () => {
      const sandbox = await openSandbox({ profile: "judge", concurrency: 4 });
      const talks: Program = {
        command: shell("i=0; while [ $i -lt 200 ]; do echo $i; read a; i=$((i+1)); done"),
        files: { x: "x" },
        outputs: ["x"],
      };
      const answers: Program = { command: shell("while read a; do echo $a; done") };
      const started = performance.now();
      expect(verdicts(await sandbox.interact(talks, answers))).toMatchObject({ judge: "ok", contestant: "ok" });
      const wholeMs = performance.now() - started;
      const seen = new Set<string>();
      for (let index = 0; index < 40; index++) {
        const controller = new AbortController();
        const timer = setTimeout(() => controller.abort(), (wholeMs * 1.2 * index) / 40);
        const running = sandbox.interact(talks, answers, { signal: controller.signal });
        const settled = await within(running, { what: "the end of both", timeoutMs: 10_000 }).catch(
          (error: unknown) => error as Api.BelljarError,
        );
        clearTimeout(timer);
        seen.add("code" in settled ? settled.code : settled.judge.report.verdict);
      }
      // The one that is ended a moment later may have ended by the other's end.
      expect([...seen].filter((word) => !["ok", "cancelled", "exit-nonzero", "signaled"].includes(word))).toEqual([]);
      expect(seen.has("cancelled")).toBe(true);
    },
    90_000,
  );

  needs("userns")("two places of the queue, or all there are; stderr goes where it is wanted", async () => {
    const sandbox = await openSandbox({ profile: "judge", concurrency: 1 });
    const taken: string[] = [];
    const [pair, single] = await Promise.all([
      sandbox.interact({ command: shell("read a; echo $a >&2") }, { command: shell("echo hello"), onStderr: () => undefined }),
      sandbox.run(["true"], { onStdout: (chunk) => taken.push(String(chunk)) }),
    ]);
    expect([pair.judge.stderr, pair.contestant.stderr, single.report.verdict]).toEqual(["hello\n", "", "ok"]);
  });

  needs("userns")("what a taker of stderr throws ends both, and is thrown", async () => {
    const sandbox = await openSandbox({ profile: "judge", limits: { wallTime: "20s" } });
    const thrown = new Error("no room");
    const refuses: Program = {
      command: shell("echo x >&2; sleep 30"),
      onStderr: () => {
        throw thrown;
      },
    };
    await expect(sandbox.interact({ command: shell("sleep 30") }, refuses)).rejects.toMatchObject({ code: "stream-failed", cause: thrown });
  });

  needs("userns")("wrong options are told before anything starts", async () => {
    const sandbox = await openSandbox();
    const right: Program = { command: ["true"] };
    for (const [judge, contestant] of [
      [right, { command: [] }],
      [{ ...right, stdin: "" }, right],
      [right, { ...right, files: { "../x": "" } }],
      [right, { ...right, limits: { memory: "x" } }],
    ] as readonly (readonly [Program, Program])[])
      await expect(sandbox.interact(judge, contestant)).rejects.toMatchObject({ code: "usage" });
  });
});
