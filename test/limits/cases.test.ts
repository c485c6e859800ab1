// What holds under every mechanism and is no verdict of the table: a figure that says little must still be right, and a terminal changes nothing.
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackProgram } from "../helpers/attack.ts";
import { startBelljar } from "../helpers/belljar.ts";
import { Driver } from "./driver.ts";
import { chosenMechanisms, configHome, ways } from "./mechanisms.ts";

const kibibyte = 1024;

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

    test("a spinner on a terminal meets the CPU limit too", async () => {
      const { code, report } = await startBelljar(
        ["run", "-t", "--cpu-time", "200ms", "-v", `${attackProgram("limits")}:/program`, "--", "/program", "spin"],
        { env: { XDG_CONFIG_HOME: configHome(mechanism) }, terminal: { rows: 24, columns: 80 }, deadlineMs: 60_000 },
      ).result;
      expect([code, report?.verdict], JSON.stringify(report)).toEqual([124, "cpu-time-limit"]);
      expect(report?.time.cpuMs).toBeGreaterThanOrEqual(180);
    });
  });
