// -t: a terminal of the program's own, joined to the caller's. Every test runs on a real pseudo-terminal.
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { type BelljarHandle, belljarCommand, startBelljar, type Termios } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";

const terminal = { rows: 24, columns: 80 };
const interactive = ["run", "-t", "-e", "PS1=prompt> ", "-e", "ENV=", "--"];

/** Termios bits (asm-generic/termbits.h). */
const ICANON = 0o2;
const ECHO = 0o10;
const ISIG = 0o1;
const modesOf = ({ lflag }: Termios): string[] => [
  ...(lflag & ICANON ? ["icanon"] : []),
  ...(lflag & ECHO ? ["echo"] : []),
  ...(lflag & ISIG ? ["isig"] : []),
];
const cooked = ["icanon", "echo", "isig"];

const childrenOf = (pid: number): readonly number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
  );

const shows = (handle: BelljarHandle, text: string | RegExp): Promise<unknown> =>
  until(() => (typeof text === "string" ? handle.output().includes(text) : text.test(handle.output())), {
    what: `'${text}' on the terminal; so far: ${JSON.stringify(handle.output())}`,
    timeoutMs: 10_000,
  }).catch((cause: unknown) => {
    throw new Error(`the terminal shows ${JSON.stringify(handle.output())}`, { cause });
  });

/** The prompt, and not the echo of what was typed before it. */
const prompts = (handle: BelljarHandle, count: number): Promise<unknown> =>
  until(() => handle.output().split("prompt> ").length - 1 >= count, { what: `prompt number ${count}`, timeoutMs: 10_000 }).catch(
    (cause: unknown) => {
      throw new Error(`the terminal shows ${JSON.stringify(handle.output())}`, { cause });
    },
  );

needs("userns")("an interactive shell: prompt, answer, exit status, terminal as before", async () => {
  const handle = startBelljar([...interactive, "sh", "-i"], { terminal });
  await prompts(handle, 1);
  expect(modesOf(await handle.termios()), "the caller's terminal is raw meanwhile").toEqual([]);
  handle.type("echo $((6 * 7)); tty\r");
  await shows(handle, "42\r\n/dev/pts/0\r\n");
  expect(handle.output()).not.toMatch(/no job control|can't access tty/);
  handle.type("exit 5\r");
  const result = await handle.result;
  expect(result.code).toBe(5);
  expect(result.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 5 });
  expect(result.termios && modesOf(result.termios)).toEqual(cooked);
});

needs("userns")("Ctrl-C reaches what runs in the shell, and neither the shell nor us", async () => {
  const handle = startBelljar([...interactive, "sh", "-i"], { terminal });
  await prompts(handle, 1);
  // Of one process from its first word on: a shell between a fork and its child's exec may lose the signal.
  handle.type("sh -c 'echo begun; exec sleep 30'; echo after\r");
  await shows(handle, /\r\nbegun\r\n/);
  handle.type("\u0003");
  await prompts(handle, 2);
  handle.type("echo still $$ here; exit 0\r");
  await shows(handle, /still \d+ here/);
  expect((await handle.result).report).toMatchObject({ verdict: "ok" });
});

needs("userns")("Ctrl-Z stops a job, fg resumes it", async () => {
  const handle = startBelljar([...interactive, "bash", "--norc", "-i"], { terminal });
  await prompts(handle, 1);
  handle.type("cat\r");
  await until(async () => handle.output().includes("cat\r\n"), { what: "cat's start" });
  handle.type("first\r");
  await shows(handle, "first\r\nfirst\r\n");
  handle.type("\u001a");
  await shows(handle, /Stopped\s+cat/);
  handle.type("fg\r");
  await shows(handle, /fg\r\n([^\r]*\r)?cat\r\n/); // between them what readline says to its terminal
  handle.type("second\r");
  await shows(handle, "second\r\nsecond\r\n");
  handle.type("\u0004");
  await prompts(handle, 3);
  handle.type("exit 0\r");
  expect((await handle.result).code).toBe(0);
});

needs("userns")("the size is the caller's, from the start and after each change", async () => {
  const handle = startBelljar(
    [...interactive, "sh", "-c", "trap 'stty size' WINCH; stty size; echo ready; while read -r line; do echo $line; done"],
    { terminal: { rows: 31, columns: 97 } },
  );
  await shows(handle, "31 97\r\nready");
  handle.resize(44, 123);
  await until(
    () => {
      handle.type("again\r");
      return handle.output().includes("44 123");
    },
    { what: "the new size", everyMs: 50 },
  );
  handle.type("\u0004");
  expect((await handle.result).code).toBe(0);
});

needs("userns")("what the program does to its terminal is not left on the caller's", async () => {
  const handle = startBelljar(["run", "-t", "--", "sh", "-c", "stty raw -echo -isig; echo changed; exit 3"], { terminal });
  const result = await handle.result;
  expect(result.stdout).toContain("changed");
  expect(result.code).toBe(3);
  expect(result.termios && modesOf(result.termios)).toEqual(cooked);
});

needs("userns")("the terminal is as before when a limit ends the run", async () => {
  const result = await startBelljar(
    ["run", "-t", "--wall-time", "300ms", "--cpu-time", "none", "--", "sh", "-c", "stty raw -echo; sleep 30"],
    { terminal },
  ).result;
  expect(result.report).toMatchObject({ verdict: "wall-time-limit" });
  expect(result.termios && modesOf(result.termios)).toEqual(cooked);
});

for (const [signal, code] of [
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  needs("userns")(`the terminal is as before when the command gets ${signal}`, async () => {
    const handle = startBelljar(["run", "-t", "--", "sh", "-c", "echo running; sleep 30"], { terminal });
    await shows(handle, "running");
    expect(modesOf(await handle.termios())).toEqual([]);
    process.kill(await handle.pid, signal);
    const result = await handle.result;
    expect(result.code).toBe(code);
    expect(result.termios && modesOf(result.termios)).toEqual(cooked);
    expect(result.leftovers).toEqual([]);
  });
}

needs("userns")("the terminal is as before when the launcher gets SIGKILL", async () => {
  const handle = startBelljar(["run", "-t", "--", "sh", "-c", "echo running; sleep 30"], { terminal });
  await shows(handle, "running");
  const pid = await handle.pid;
  const launcher = childrenOf(pid)[0];
  process.kill(launcher as number, "SIGKILL");
  const result = await handle.result;
  expect(result.code).toBe(125);
  expect(result.termios && modesOf(result.termios)).toEqual(cooked);
});

/** An interactive shell of the caller's own, outside any sandbox; dash, which leaves the terminal's modes to itself. */
function callersShell(): BelljarHandle {
  return startBelljar([], { terminal, program: ["sh", "-i"], env: { PS1: "prompt> ", ENV: undefined } });
}
const typedCommand = (script: string): string => `${belljarCommand.join(" ")} run -t -- sh -c '${script}'`;

needs("userns")(
  "SIGKILL of the command under an interactive shell: the terminal is usable again, though nobody of ours is in the foreground",
  async () => {
    const handle = callersShell();
    await prompts(handle, 1);
    handle.type(`${typedCommand('echo run""ning; sleep 30')}\r`);
    await shows(handle, /\r\nrunning/);
    expect(modesOf(await handle.termios())).toEqual([]);
    const command = childrenOf(await handle.pid)[0] as number;
    process.kill(command, "SIGKILL");
    await shows(handle, "Killed");
    await until(async () => modesOf(await handle.termios()).join() === cooked.join(), { what: "the modes from before", timeoutMs: 5000 });
    handle.type("exit 4\r");
    expect((await handle.result).code).toBe(4);
  },
);

needs("userns")("-t in the background of a shell does not make the shell's terminal raw", async () => {
  const handle = callersShell();
  await prompts(handle, 1);
  handle.type(`${typedCommand('echo in""side; sleep 1; exit 6')} & echo star""ted\r`);
  await shows(handle, /started/);
  // It runs without the terminal, or it is stopped until it gets it: in no case may it change modes that are another's now.
  const seen = new Set<string>();
  const end = performance.now() + 2500;
  await until(
    async () => {
      seen.add(modesOf(await handle.termios()).join(" "));
      return performance.now() > end;
    },
    { what: "the end of the look", everyMs: 20 },
  );
  expect([...seen]).toEqual([cooked.join(" ")]);
  handle.type("kill -9 %1 2>/dev/null; exit 0\r");
  await handle.result;
});

needs("userns")("without -t the program has no terminal, and the caller's is never made raw", async () => {
  const handle = startBelljar(["run", "--", "sh", "-c", "tty; (: < /dev/tty) 2>/dev/null || echo none; read -r line; echo got $line"], {
    terminal,
  });
  await shows(handle, "none");
  expect(modesOf(await handle.termios())).toEqual(cooked);
  handle.type("typed\r");
  await shows(handle, "got typed");
  const result = await handle.result;
  expect(result.stdout).toContain("not a tty");
});

needs("userns")("without -t Ctrl-C cancels the run", async () => {
  const handle = startBelljar(["run", "--", "sh", "-c", "trap '' INT; echo running; sleep 30"], { terminal });
  await shows(handle, "running");
  handle.type("\u0003");
  const result = await handle.result;
  expect(result.code).toBe(130);
  expect(result.report).toMatchObject({ verdict: "cancelled", signal: "SIGINT" });
});
