// What holds under every mechanism and is no verdict of the table: a figure that says little must still be right, and a terminal changes nothing.
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackProgram } from "../helpers/attack.ts";
import { startBelljar } from "../helpers/belljar.ts";
import { Driver } from "./driver.ts";
import { chosenMechanisms, configHome, ways } from "./mechanisms.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** Connects to itself until connections take nothing more; prints how many bytes wait in them. */
const fillConnections = `
import socket
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
kept, waiting = [], 0
for _ in range(40):
    near = socket.create_connection(listener.getsockname())
    kept += [near, listener.accept()[0]]
    for end in kept[-2:]:
        end.setblocking(False)
        try:
            while True: waiting += end.send(bytes(65536))
        except BlockingIOError: pass
print(waiting)
`;

for (const mechanism of chosenMechanisms())
  describe(`${mechanism}`, () => {
    const test = needs("userns", ...ways[mechanism].needs);

    test("the peak of a small program is something, and the same each time", async () => {
      await using driver = new Driver(configHome(mechanism));
      const volumes = [{ source: attackProgram("limits"), target: "/program" }];
      const peaks: number[] = [];
      for (let i = 0; i < 5; i++) {
        const { report } = await driver.run({ command: ["/program", "print", "10"], volumes });
        expect(report.memory.peakBytes, JSON.stringify(report)).not.toBeNull();
        peaks.push(report.memory.peakBytes ?? 0);
      }
      expect(Math.min(...peaks), peaks.join()).toBeGreaterThan(100 * kibibyte);
      expect(Math.max(...peaks) - Math.min(...peaks), peaks.join()).toBeLessThanOrEqual(1024 * kibibyte);
    });

    // Version 2 counts it as memory like any other; without a cgroup nobody tells (docs/hosts.md).
    if (mechanism === "cgroup1")
      test("what waits in sockets is bounded by the memory limit", async () => {
        await using driver = new Driver(configHome(mechanism));
        const { report, stdout } = await driver.run({ command: ["python3", "-c", fillConnections], limits: { memory: "48M" } });
        expect(["ok", "memory-limit"], JSON.stringify(report)).toContain(report.verdict);
        if (report.verdict !== "ok") return;
        expect(Number(stdout.toString())).toBeGreaterThan(mebibyte);
        expect(Number(stdout.toString())).toBeLessThan(64 * mebibyte);
      }, 60_000);

    test("a spinner on a terminal meets the CPU limit too", async () => {
      const { code, report } = await startBelljar(
        ["run", "-t", "--cpu-time", "200ms", "-v", `${attackProgram("limits")}:/program`, "--", "/program", "spin"],
        { env: { XDG_CONFIG_HOME: configHome(mechanism) }, terminal: { rows: 24, columns: 80 }, deadlineMs: 60_000 },
      ).result;
      expect([code, report?.verdict], JSON.stringify(report)).toEqual([124, "cpu-time-limit"]);
      expect(report?.time.cpuMs).toBeGreaterThanOrEqual(180);
    });
  });
