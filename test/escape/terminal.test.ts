// The caller's terminal: nothing may be typed into it, and the program's own is another one.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackDir, attackProgram, Tries, volumeOf, withoutSeccomp } from "../helpers/attack.ts";
import { startBelljar } from "../helpers/belljar.ts";

const program = "attack-terminal";
const text = "echo PWNED\n";
const size = { rows: 24, columns: 80 };
const inside = `${attackDir}/${program}`;

/** Like a shell that reads its terminal after the command has ended: what was typed in by others shows here. */
const thenRead = (command: readonly string[]): readonly string[] => [
  "sh",
  "-c",
  '"$@"; stty -icanon min 0 time 2 2>/dev/null; echo "after:$(dd bs=64 count=1 2>/dev/null):"',
  "sh",
  ...command,
];

needs("userns", "tiocsti")("types into the caller's terminal: the attack itself works", async () => {
  const handle = startBelljar(["ignored"], { program: thenRead([attackProgram(program), text, "#"]), terminal: size, report: false });
  const result = await handle.result;
  expect(new Tries(result.stdout.replaceAll("\r", "")).outcomes()).toMatchObject({
    "open-tty": "OK",
    "tiocsti-0": "OK",
    "tiocsti-tty": "OK",
  });
  expect(result.stdout).toContain("PWNED");
});

const runs: readonly (readonly [string, readonly string[]])[] = [
  ["without a terminal of its own", []],
  ["without a terminal of its own and without a filter", ["no-filter"]],
  ["on a terminal of its own (-t)", ["-t"]],
  ["on a terminal of its own (-t), without a filter", ["-t", "no-filter"]],
];

for (const [name, flags] of runs) {
  needs("userns")(`types into the caller's terminal ${name}`, async () => {
    const options = [...(flags.includes("-t") ? ["-t"] : []), ...(flags.includes("no-filter") ? withoutSeccomp() : [])];
    const belljarRun = [
      process.execPath,
      `${import.meta.dirname}/../../dist/belljar.js`,
      "run",
      ...volumeOf(program),
      ...options,
      "--",
      inside,
      text,
    ];
    const handle = startBelljar([], { program: thenRead(belljarRun), terminal: size });
    const result = await handle.result;
    const tries = new Tries(result.stdout.replaceAll("\r", ""));
    const outcomes = tries.outcomes();
    // The base filter refuses the call itself, with every profile.
    expect(outcomes).toMatchObject({ "tiocsti-0": "EPERM", "tiocsti-1": "EPERM", "tiocsti-2": "EPERM", tioclinux: "EPERM" });
    expect(outcomes["tiocsti-high-word"]).toBe("EPERM");
    if (flags.includes("-t")) expect(outcomes).toMatchObject({ "open-tty": "OK", "get-attributes": "OK" });
    else expect(outcomes).toMatchObject({ "open-tty": "ENXIO", "get-attributes": "ENOTTY", steal: "ENOTTY", foreground: "ENOTTY" });
    expect(result.stdout).toContain("after::");
    expect(result.stdout.replace(/"try".*/g, "")).not.toContain("PWNED");
  });
}
