// Two runs of one user at one time: neither finds anything of the other.
import { spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackDir, attackInSandbox, attackOutside, attackProgram, profileFile, volumeOf } from "../helpers/attack.ts";
import { belljarRun, startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";

const program = "attack-between";
const names = (): readonly string[] => [`belljar-${randomBytes(6).toString("hex")}`, String(randomInt(1, 2 ** 30))];

/** Everything that can be found, and what is said where it is not there. */
const absent = {
  "abstract-socket": "ECONNREFUSED",
  "path-socket": "ENOENT",
  "loopback-port": "ECONNREFUSED",
  "sysv-memory": "ENOENT",
  "sysv-semaphore": "ENOENT",
  "sysv-queue": "ENOENT",
  "posix-queue": "ENOENT",
  "posix-memory": "ENOENT",
  file: "ENOENT",
};
const found = Object.fromEntries(Object.keys(absent).map((name) => [name, "OK"]));

/** The control: without a sandbox around either, all is found. */
async function foundOutside(): Promise<void> {
  const args = names();
  const holder = spawn(attackProgram(program), ["hold", ...args], { stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => void holder.kill("SIGKILL"));
  let said = "";
  holder.stdout.on("data", (chunk) => {
    said += String(chunk);
  });
  await until(() => said.startsWith("held"), { what: "the holder outside" });
  expect(attackOutside(program, ["find", ...args]).outcomes()).toEqual(found);
  const ended = new Promise((resolve) => holder.once("exit", resolve));
  holder.stdin.end();
  await ended;
}

const most = () =>
  profileFile({ seccomp: { extends: "none" }, proc: "full", comments: { "seccomp.extends": "namespaces alone", proc: "the same" } });

for (const [words, run] of [
  ["", () => []],
  [", with no filter and the whole of /proc", () => ["-p", most()]],
] as const)
  needs("userns")(`finds sockets, ports, shared memory, semaphores, queues and files of another run${words}`, async () => {
    await foundOutside();
    const args = names();
    const options = run();
    const holder = startBelljar(["run", ...options, ...volumeOf(program), "--", join(attackDir, program), "hold", ...args], {
      stdin: null,
    });
    await until(() => holder.output().startsWith("held"), { what: "the holder in its sandbox" });
    const inside = await attackInSandbox(program, ["find", ...args], { run: options });
    expect(inside.tries.outcomes()).toEqual(absent);
    expect(inside.report?.verdict).toBe("ok");
    holder.stdin.end();
    expect((await holder.result).report?.verdict).toBe("ok");
  });

needs("userns")("finds what an earlier run left: nothing stays", async () => {
  const args = names();
  const first = await attackInSandbox(program, ["hold", ...args]);
  expect(first.stdout).toMatch(/^held \d+\n$/);
  expect((await attackInSandbox(program, ["find", ...args])).tries.outcomes()).toEqual(absent);
});

/** Sends descriptors to itself and takes none, until the kernel, which counts them by user, refuses; says the error and waits for its input to end. */
const onTheirWay = `
import array, os, socket, sys
sent, pairs = 0, []
try:
    while True:
        pairs.append(socket.socketpair())
        for _ in range(8):
            pairs[-1][0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 250))])
            sent += 250
except OSError as error:
    print("errno", error.errno, flush=True)
sys.stdin.read()
`;

needs("userns", "python3")("keeps others from passing on descriptors: their launchers have a limit of their own", async () => {
  const holder = startBelljar(["run", "--wall-time", "60s", "--", "python3", "-c", onTheirWay], { stdin: null });
  await until(() => holder.output() === "errno 109\n", { what: "ETOOMANYREFS in its sandbox" });
  // Of judge the program's own limit is the lowest: it must not be the one that the listener of its denied calls is sent under.
  for (const profile of ["judge", "default"]) {
    const other = await belljarRun(["-p", profile, "--", "sh", "-c", "ulimit -n; ulimit -Hn"]);
    const limit = { judge: 256, default: 1024 }[profile];
    expect([other.report?.verdict, other.stdout]).toEqual(["ok", `${limit}\n${limit}\n`]);
  }
  holder.stdin.end();
  expect((await holder.result).report?.verdict).toBe("ok");
});
