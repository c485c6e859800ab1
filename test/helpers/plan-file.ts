/** Compiled plans, and the launcher that runs them. */
import { join } from "node:path";
import { expect } from "vitest";
import { type BelljarOptions, type BelljarResult, belljar } from "./belljar.ts";
import { launcherPath } from "./launcher.ts";
import { tempDir } from "./places.ts";

/** `belljar profile compile`. */
export async function compile(file: string, profile: string, options: readonly string[] = []): Promise<BelljarResult> {
  return belljar(["profile", "compile", profile, "-o", file, ...options]);
}

/** The launcher itself, beneath the reaper like every command. */
export const launch = (args: readonly string[], options: BelljarOptions = {}) => belljar(args, { ...options, program: [launcherPath] });

/** A plan of the profile `judge`, in a folder of its own. */
export async function judgePlan(...options: readonly string[]): Promise<string> {
  const file = join(tempDir("plan-file"), "judge.plan");
  const compiled = await compile(file, "judge", options);
  expect(compiled.stderr).toBe("");
  return file;
}
