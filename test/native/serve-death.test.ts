/** Deaths around a run server, each process in turn: what waits is replaced, what runs tells or ends, and nothing is left. */
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { childrenOf, connectRun, type Server, served, shell, startServer } from "../helpers/serve.ts";

const ready = needs("userns");

const initOf = (launcher: number): readonly number[] => childrenOf(launcher);
const taskOf = (launcher: number): readonly number[] => initOf(launcher).flatMap(childrenOf);
const victims = [
  ["the launcher", (launcher: number) => [launcher]],
  ["process 1", initOf],
  ["the program's task", taskOf],
] as const;

/** A group of 0 would be our own. */
function killAll(pids: readonly number[]): void {
  expect(pids.length).toBeGreaterThan(0);
  expect(Math.min(...pids)).toBeGreaterThan(1);
  for (const pid of pids) process.kill(pid, "SIGKILL");
}

/** Of those that may have ended meanwhile. */
function killWhoIsThere(pids: readonly number[]): void {
  for (const pid of pids.filter((one) => one > 1))
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe("ESRCH");
    }
}

async function withServer(use: (server: Server) => Promise<void>): Promise<void> {
  const server = await startServer({ size: 2 });
  try {
    await use(server);
  } finally {
    await server.stop();
  }
}

describe("a sandbox that waits", () => {
  for (const [whose, of] of victims)
    ready(`is replaced when ${whose} dies`, () =>
      withServer(async (server) => {
        for (let round = 0; round < 3; round++) {
          await server.ready(2);
          const before = server.parked();
          killAll(before.flatMap(of));
          await until(() => server.members().every((pid) => !before.includes(pid)), { what: "the end of both", timeoutMs: 20_000 });
          expect((await served(server.socket, shell("echo fine"))).stdout).toBe("fine\n");
        }
      }),
    );

  ready("may die at any moment while it is made", () =>
    withServer(async (server) => {
      for (const [, of] of victims)
        for (let round = 0; round < 5; round++) {
          await server.ready(1);
          killWhoIsThere(server.members().flatMap(of));
          await until(() => server.members().length > 0, { what: "another", timeoutMs: 20_000 });
          killWhoIsThere(server.members().flatMap(of));
        }
      await server.ready(2);
      expect((await served(server.socket, shell("echo fine"))).stdout).toBe("fine\n");
    }),
  );
});

describe("a sandbox in which a program runs", () => {
  for (const [whose, of, verdict] of [
    [...victims[0], null],
    [...victims[1], "sandbox-error"],
    [...victims[2], "signaled"],
  ] as const)
    ready(`ends when ${whose} dies, and the client hears of it`, () =>
      withServer(async (server) => {
        const connection = connectRun(server.socket, shell("echo begun; sleep 60"));
        await connection.came("stdout");
        await until(() => server.running().length === 1, { what: "the run" });
        killAll(server.running().flatMap(of));
        expect((await within(connection.result, { what: "the end of the run", timeoutMs: 20_000 })).verdict).toBe(verdict);
        expect((await served(server.socket, shell("echo fine"))).stdout).toBe("fine\n");
      }),
    );
});
