/** System calls in a real kernel, under filters, by the fixture seccomp-every. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixtureProgram } from "./compile.ts";

/**
 * What each call came to ("ok", "errno 9", "signal 31", "exit 255"), every one in a process of its own that installed the filters. How calls are
 * written: see test/fixtures/programs/seccomp-every.c.
 */
export function tryCalls(filters: readonly Uint8Array[], calls: readonly string[]): readonly string[] {
  // Calls that are allowed are made: by nobody who could harm the machine.
  if (process.getuid?.() === 0) throw new Error("tried by an ordinary user only");
  const dir = mkdtempSync(join(tmpdir(), "belljar-calls-"));
  try {
    const paths = filters.map((bytes, i) => {
      const path = join(dir, `filter-${i}`);
      writeFileSync(path, bytes);
      return path;
    });
    const program = fixtureProgram("seccomp-every", { flags: ["-static"] });
    const { stdout, stderr, status } = spawnSync(program, [...paths, "--", ...calls], {
      ...{ encoding: "utf8", timeout: 120_000, killSignal: "SIGKILL", cwd: dir, env: {} },
    });
    if (status !== 0 || stderr !== "") throw new Error(`seccomp-every: status ${status}: ${stderr}`);
    return stdout.trimEnd().split("\n");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
