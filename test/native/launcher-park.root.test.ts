/** The memory that tells a parked task what to run: who has it, and when. An init that has shut itself off shows its memory to root alone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { encodeExec } from "../../policy/wire/index.ts";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { encodePlan, execPlan, launchBytes, sandboxPlan } from "../helpers/launcher.ts";
import { occurrences, sharedOf } from "../helpers/memory.ts";

const place = JSON.parse(process.env["BELLJAR_TEST_PLACE"] ?? "{}") as {
  readonly uid: number;
  readonly gid: number;
  readonly tree: string;
};

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
