/** The memory that tells a parked task what to run: who has it, and when. An init that has shut itself off shows its memory to root alone. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { encodeExec } from "../../policy/wire/index.ts";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { encodePlan, execPlan, launchBytes, sandboxPlan } from "../helpers/launcher.ts";

const place = JSON.parse(process.env["BELLJAR_TEST_PLACE"] ?? "{}") as {
  readonly uid: number;
  readonly gid: number;
  readonly tree: string;
};

interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly flags: string;
  readonly name: string;
}

const mappings = (pid: number): readonly Mapping[] =>
  readFileSync(`/proc/${pid}/maps`, "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [range = "", flags = "", , , , ...name] = line.split(/\s+/);
      const [start = 0, end = 0] = range.split("-").map((text) => Number.parseInt(text, 16));
      return { start, end, flags, name: name.join(" ") };
    });

/** Writable memory that is shared with other processes: the kernel shows what is shared without a file as /dev/zero. */
const sharedOf = (pid: number): readonly string[] =>
  mappings(pid)
    .filter(({ flags }) => flags.endsWith("s"))
    .map(({ name }) => name);

/** How often a text is in the memory of a process, in whatever part of it can be read. */
function occurrences(pid: number, text: string): number {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const buffer = Buffer.alloc(1 << 20);
  let found = 0;
  for (const { start, end, flags, name } of mappings(pid)) {
    if (!flags.startsWith("r") || name.startsWith("[v")) continue;
    for (let at = start; at < end; at += buffer.length) {
      let count = 0;
      try {
        count = readSync(memory, buffer, 0, Math.min(buffer.length, end - at), at);
      } catch {
        continue; // pages that are reserved and were never there
      }
      for (let i = buffer.subarray(0, count).indexOf(text); i >= 0; i = buffer.subarray(0, count).indexOf(text, i + 1)) found++;
    }
  }
  closeSync(memory);
  return found;
}

const childOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);

needs("root", "userns")(
  "of a parked sandbox, the task alone shares memory with the launcher, and nobody once the program runs",
  async () => {
    const ids = {
      uidMaps: [{ containerId: 1000, hostId: place.uid, size: 1 }],
      gidMaps: [{ containerId: 1000, hostId: place.gid, size: 1 }],
    };
    const template = execPlan(["/bin/sh"], { parked: true });
    const launched = launchBytes(encodePlan(sandboxPlan(ids), template), {
      launcher: join(place.tree, "native/build/belljar-launch"),
      ids: place,
    });
    onTestFinished(() => void launched.child.kill("SIGKILL"));
    await within(Promise.race([launched.parked, launched.result]), { what: "the parked task", timeoutMs: 20_000 });
    const launcher = launched.child.pid ?? -1;
    const init = childOf(launcher);
    const task = childOf(init);
    // The control: where the memory is, this is how it looks.
    expect(sharedOf(launcher)).toEqual(["/dev/zero (deleted)"]);
    expect(sharedOf(task)).toEqual(["/dev/zero (deleted)"]);
    expect(sharedOf(init)).toEqual([]);

    const secret = `told-${Math.random()}`;
    launched.control.write(encodeExec(execPlan(["/bin/sleep", "60"], { env: [`SECRET=${secret}`] })));
    await until(() => readFileSync(`/proc/${task}/comm`, "utf8") === "sleep\n", { what: "the program" });
    expect(sharedOf(task)).toEqual([]);
    expect(sharedOf(init)).toEqual([]);
    expect(occurrences(launcher, secret)).toBeGreaterThan(0);
    expect(occurrences(task, secret)).toBeGreaterThan(0);
    expect(occurrences(init, secret)).toBe(0);
    launched.control.end();
    expect((await within(launched.result, { what: "the launcher's end", timeoutMs: 20_000 })).verdict).toBe("cancelled");
    launched.control.destroy();
  },
);
