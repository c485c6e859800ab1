/** The kernel's limits on filters: 4096 instructions each, 32768 for all of a task. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarCommand, belljarRun } from "../helpers/belljar.ts";
import { fixtureProgram } from "../helpers/compile.ts";
import { tempDir } from "../helpers/places.ts";

const perFilter = 4096;

function manyRules(count: number): string {
  const cwd = tempDir("seccomp-limits");
  const syscalls = Array.from({ length: count }, (_, value) => ({
    names: ["mremap"],
    action: "errno:EPERM",
    args: [{ index: 1, op: "eq", value: 7 * value }],
    comment: "one of many",
  }));
  writeFileSync(join(cwd, "many.json"), JSON.stringify({ schemaVersion: 1, name: "many", extends: "default", seccomp: { syscalls } }));
  return cwd;
}

needs("userns")("a filter that the kernel would refuse is refused before anything starts, by the profile's name", async () => {
  const refused = await belljar(["run", "-p", "./many.json", "--", "/bin/echo", "ran"], { cwd: manyRules(900) });
  expect(refused).toMatchObject({ code: 125, stdout: "", report: null });
  expect(refused.stderr).toMatch(
    /^belljar: profile 'many': seccomp: the filter has \d{4} instructions, the kernel takes at most 4096\nhint: use fewer rules with conditions on arguments\n$/,
  );
  // The control: a large one that fits is installed. Only its audit does not fit any more, which is said.
  const works = await belljarRun(["-p", "./many.json", "--", "/bin/echo", "ran"], { cwd: manyRules(720) });
  expect(works).toMatchObject({ code: 0, stdout: "ran\n" });
});

/** A filter that allows all, after that many instructions. */
function paddedFilter(path: string, instructions: number): string {
  const bytes = Buffer.alloc(instructions * 8);
  for (let i = 0; i < instructions - 1; i++) bytes.writeUInt16LE(0x20, i * 8); // load word 0
  bytes.writeUInt16LE(0x06, (instructions - 1) * 8); // return
  bytes.writeUInt32LE(0x7fff0000, (instructions - 1) * 8 + 4);
  writeFileSync(path, bytes);
  return path;
}

needs("userns")("under filters that leave no room the run is refused, and the hint says why", async () => {
  const cwd = tempDir("seccomp-limits");
  const large = paddedFilter(join(cwd, "large"), perFilter);
  const under = (last: number) => ({
    cwd,
    program: [
      fixtureProgram("seccomp-try", { flags: ["-static", "-no-pie"] }),
      ...Array<string>(7).fill(large),
      paddedFilter(join(cwd, `${last}`), last),
      "exec",
      ...belljarCommand,
    ],
  });
  const full = await belljarRun(["--", "/bin/echo", "ran"], under(3700));
  expect(full).toMatchObject({ code: 125, stdout: "", report: { verdict: "sandbox-error" } });
  expect(full.stderr).toMatch(/: step (seccomp|guardInit) .*ENOMEM/);
  expect(full.stderr).toMatch(
    /^hint: this process is under 8 seccomp filters already, and the kernel takes 32768 instructions a task in all: .*fewer rules$/m,
  );
  const room = await belljarRun(["--", "/bin/echo", "ran"], under(1000));
  expect(room).toMatchObject({ code: 0, stdout: "ran\n" });
});
