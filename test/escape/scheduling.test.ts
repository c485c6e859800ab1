// Process 1 has the program's user id, so the kernel would let the program move it to the slowest class; and the CPU clock is the program's.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { allPowerful, attackInSandbox, attackOutside, ownNamespaces } from "../helpers/attack.ts";

const program = "attack-schedule";
const attacks = ["affinity", "parameter", "attributes", "scheduler", "nice", "io", "nice-user", "nice-user-by-number", "io-user"];
const clock = ["clock-off", "clock-on", "clock-off-high"];
const all = (names: readonly string[], outcome: string): Record<string, string> => Object.fromEntries(names.map((name) => [name, outcome]));

needs("userns")("starves process 1 by its scheduling, stops the CPU clock", async () => {
  const control = attackOutside(program, [], { prefix: ownNamespaces });
  expect(control.outcomes(), "control: an ordinary process 1 of the same user").toMatchObject({
    ...all(attacks, "OK"),
    ...all(clock, "OK"),
  });
  for (const run of [[], ["-p", allPowerful()]]) {
    const inside = await attackInSandbox(program, [], { run });
    expect(inside.tries.outcomes(), inside.stderr).toMatchObject({
      ...all(attacks, "EPERM"),
      ...all(clock, "EPERM"),
      "affinity-high": "EPERM",
      // What a program does to itself is its own business.
      ...all(["affinity-own", "scheduler-own", "nice-own", "io-own"], "OK"),
    });
    expect(inside.report).toMatchObject({ verdict: "ok", exitCode: 0 });
  }
});
