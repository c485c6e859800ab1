// The built library, as another program imports it, with private places to look for leftovers in.
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import type * as Api from "../../cli/api.ts";
import { until } from "./deadline.ts";
import { filesBelow } from "./leaks.ts";
import { root, tempDir } from "./places.ts";

export type { Api };

export const load = async (): Promise<typeof Api> => (await import(join(root, "dist/api.mjs"))) as typeof Api;

/** Processes that this one has started and that still are: the library starts nothing but launchers. */
export function ownLaunchers(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const status = readFileSync(`/proc/${name}/status`, "utf8");
        const isOurs = status.includes(`\nPPid:\t${process.pid}\n`) && status.startsWith("Name:\tbelljar-launch\n");
        return isOurs ? [Number(name)] : [];
      } catch {
        return []; // it has ended meanwhile
      }
    });
}

/** Names set for the rest of the test. */
export function setEnvironment(changes: Readonly<Record<string, string>>): void {
  const before = { ...process.env };
  Object.assign(process.env, changes);
  onTestFinished(() => {
    for (const name of Object.keys(changes))
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
  });
}

/** Asserts that nothing is left of the test's runs, neither files nor launchers. */
export type AssertNothingLeft = () => Promise<void>;

/** Temporary files of the library in this test lie in a folder of their own; when it ends, nothing is left there, and no launcher. */
export function privatePlaces(): AssertNothingLeft {
  const folder = tempDir("library");
  const scratch = join(folder, "cache");
  mkdirSync(scratch);
  setEnvironment({ TMPDIR: folder, XDG_RUNTIME_DIR: folder });
  const nothingLeft = async (): Promise<void> => {
    await until(() => ownLaunchers().length === 0, { what: "the end of every launcher" });
    expect(filesBelow(folder)).toEqual([]);
    expect(readdirSync(join(folder, "belljar"), { recursive: true }).length, "folders of runs").toBe(0);
  };
  mkdirSync(join(folder, "belljar"), { mode: 0o700 });
  return nothingLeft;
}

/** A sandbox that is closed when the test ends, after which nothing may be left. */
export async function openSandbox(options: Api.OpenOptions = {}): Promise<Api.Sandbox> {
  const { Sandbox } = await load();
  const nothingLeft = privatePlaces();
  const sandbox = await Sandbox.open(options);
  onTestFinished(async () => {
    await sandbox.close({ cancel: true });
    await nothingLeft();
  });
  return sandbox;
}
