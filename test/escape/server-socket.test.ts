/** A program that is given the folder of a run server's socket: it has the user's id where that counts, and gets nothing for it. */

import { spawnSync } from "node:child_process";
import { expect, onTestFinished } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { bind, execPlan, launch, sandboxPlan } from "../helpers/launcher.ts";
import { startServer } from "../helpers/serve.ts";

const attack = (path: string): readonly string[] => [
  "/usr/bin/python3",
  "-c",
  `import socket
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect("${path}"); print(s.recv(100).hex() or "closed")`,
];

needs("userns", "python3")("cannot use it", async () => {
  const server = await startServer();
  onTestFinished(() => server.stop());
  await server.ready(2);
  // The control: outside, the same program is offered a sandbox.
  const [file = "", ...args] = attack(server.socket);
  const outside = spawnSync(file, args, { encoding: "utf8", timeout: 20_000, killSignal: "SIGKILL" });
  expect(outside.stdout).toBe("0600000000000000\n");
  const sandbox = sandboxPlan({}, [bind(server.dir, "/srv", ["recursive"])]);
  const { stdout, stderr } = await launch(sandbox, execPlan(attack("/srv/s")));
  expect([stdout, stderr]).toEqual(["closed\n", ""]);
  expect(server.members()).toHaveLength(2);
});
