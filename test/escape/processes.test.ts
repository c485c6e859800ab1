// Processes and kernel objects of the host: none can be seen, signalled or attached to.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { expect, onTestFinished } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutside, attackProgram, withoutSeccomp } from "../helpers/attack.ts";
import { within } from "../helpers/deadline.ts";

const program = "attack-host";

/** A process of the host's, of the same user, that would die of any signal. */
async function victim(...args: readonly string[]): Promise<ChildProcess & { readonly pid: number }> {
  const child = spawn(attackProgram(program), args, { stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => {
    child.stdin?.end();
    child.kill("SIGKILL");
  });
  await within(once(child.stdout as NodeJS.ReadableStream, "data"), { what: "the planted object", timeoutMs: 5000 });
  return child as ChildProcess & { readonly pid: number };
}

const marker = (): string => `marker-${randomBytes(8).toString("hex")}`;

/** Any waiting process will do; this one plants a shared memory segment nobody looks for. */
const sleeper = (mark: string) => victim("plant-mq", `/${mark}`, "x");

needs("userns")("sees a process of the host in /proc", async () => {
  const mark = marker();
  const { pid } = await sleeper(mark);
  const outside = attackOutside(program, ["processes-visible", String(pid), mark]);
  expect(outside.of("marked").result).toBeGreaterThan(0);
  expect(outside.of("status").text).toContain("Name:");
  const inside = await attackInSandbox(program, ["processes-visible", String(pid), mark]);
  // Process 1 and the program itself.
  expect(inside.tries.of("count").result).toBe(2);
  // The mark is in its own arguments only, which it does not count.
  expect(inside.tries.of("marked").result).toBe(0);
  expect(inside.tries.outcomes()["status"]).toBe("ENOENT");
});

needs("userns")("signals processes of the host: by id, by every id there is, all at once", async () => {
  const mark = marker();
  const child = await sleeper(mark);
  let died = false;
  child.on("exit", () => {
    died = true;
  });
  const inside = await attackInSandbox(program, ["processes", String(child.pid), mark]);
  const outcomes = inside.tries.outcomes();
  expect(outcomes).toMatchObject({
    "kill-0": "ESRCH",
    getpgid: "ESRCH",
    "pidfd-open": /ESRCH|EINVAL/.test(outcomes["pidfd-open"] ?? "") ? outcomes["pidfd-open"] : "ESRCH",
    scheduler: "ESRCH",
    sigqueue: "ESRCH",
  });
  expect(inside.tries.of("reached").result).toBe(0);
  expect(inside.tries.of("parent").result).toBe(1);
  expect(inside.report).toMatchObject({ verdict: "ok" });
  expect(died, "the host's process lives on").toBe(false);
  // Control: outside, the same calls reach it.
  const outside = attackOutside(program, ["processes-reach", String(child.pid), mark]);
  expect(outside.outcomes()).toMatchObject({ "kill-0": "OK", getpgid: "OK", "pidfd-open": "OK", scheduler: "OK" });
});

needs("userns")("attaches to shared memory, semaphores and message queues of the host", async () => {
  const key = String(randomInt(1, 0x7fffffff));
  const secret = `canary:${marker()}`;
  await victim("plant-shm", key, secret);
  const outside = attackOutside(program, ["shm", key]);
  expect(outside.of("shmat").text).toBe(secret);
  expect(outside.outcomes()).toMatchObject({ shmget: "OK", semget: "OK", msgget: "OK" });
  for (const run of [[], withoutSeccomp()]) {
    const inside = await attackInSandbox(program, ["shm", key], { run });
    expect(inside.tries.outcomes()).toEqual({ shmget: "ENOENT", semget: "ENOENT", msgget: "ENOENT" });
    expect(inside.stdout).not.toContain(secret);
  }
});

needs("userns")("opens a POSIX message queue of the host", async () => {
  const name = `/${marker()}`;
  const secret = `canary:${marker()}`;
  await victim("plant-mq", name, secret);
  for (const run of [[], withoutSeccomp()]) {
    const inside = await attackInSandbox(program, ["mq", name], { run });
    expect(inside.tries.outcomes()).toEqual({ "mq-open": "ENOENT" });
    expect(inside.stdout).not.toContain(secret);
  }
  // Last, because it takes the message away.
  expect(attackOutside(program, ["mq", name]).of("mq-receive").text).toBe(secret);
});

needs("userns")("finds and reads a key of the user's keyring", async () => {
  const name = `belljar:${marker()}`;
  const secret = `canary:${marker()}`;
  await victim("plant-key", name, secret);
  const outside = attackOutside(program, ["key", name]);
  expect(outside.of("key-read").text).toBe(secret);
  const inside = await attackInSandbox(program, ["key", name]);
  expect(inside.tries.outcomes()).toMatchObject({ "key-search": "EPERM", "key-add": "EPERM" });
  expect(inside.stdout).not.toContain(secret);
  // Without the filter the keyrings themselves are still others: those of the sandbox's user namespace, and a new session's.
  const unfiltered = await attackInSandbox(program, ["key", name], { run: withoutSeccomp() });
  expect(unfiltered.tries.outcomes()).toMatchObject({ "key-search": "ENOKEY" });
  expect(unfiltered.stdout).not.toContain(secret);
});
