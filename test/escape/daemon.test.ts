// A process that wants to outlive its run: the lock that it holds on a shared file says whether it lives.
import { chmodSync, closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutside, Tries } from "../helpers/attack.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-daemon";

for (const way of ["fork", "setsid", "double", "deaf", "threads"]) {
  needs("userns")(`outlives its run (${way})`, async () => {
    const dir = tempDir("lock");
    const lock = join(dir, "lock");
    writeFileSync(lock, "");
    chmodSync(lock, 0o666);

    // Outside it does: its lock is held after its parent has ended, and the holder has to be killed by hand.
    // What it says goes to a file: the end of a pipe would not come while the daemon holds it.
    const said = openSync(join(dir, "said"), "w");
    attackOutside(program, ["hold", lock, way], { stdio: ["ignore", said, said] });
    closeSync(said);
    expect(new Tries(readFileSync(join(dir, "said"), "utf8")).outcomes()).toEqual({ held: "OK" });
    const held = attackOutside(program, ["try", lock]);
    const pid = held.of("holder").result ?? 0;
    onTestFinished(() => {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // it is gone already
      }
    });
    expect(held.outcomes()["lock"]).toBe("EAGAIN");
    expect(pid).toBeGreaterThan(0);
    process.kill(pid, "SIGKILL");

    const other = join(dir, "other");
    writeFileSync(other, "");
    chmodSync(other, 0o666);
    const inside = await attackInSandbox(program, ["hold", "/lock", way], { run: ["-v", `${other}:/lock:rw`] });
    expect(inside.tries.outcomes()).toEqual({ held: "OK" });
    expect(inside.report).toMatchObject({ verdict: "ok", exitCode: 0 });
    expect(inside.wallMs, "the run ends when its program does").toBeLessThan(5000);
    expect(attackOutside(program, ["try", other]).outcomes()["lock"]).toBe("OK");
  });
}
