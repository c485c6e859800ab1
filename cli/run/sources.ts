import { statSync } from "node:fs";
import type { SandboxPlan } from "../../policy/wire/wire.gen.ts";

function identity(path: string): string {
  try {
    const status = statSync(path, { throwIfNoEntry: false });
    return status === undefined ? "none" : `${status.dev} ${status.ino}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

/**
 * Which files and folders of the host the paths of a plan lead to now, to compare: a mount holds on to what it was made of, so a sandbox that
 * waits would show one that was replaced since. What a sandbox holds is not freed, so nothing else gets its number meanwhile.
 */
export function sourcesNow({ filesystem, rootLayers }: Pick<SandboxPlan, "filesystem" | "rootLayers">): string {
  // Devices are what they are.
  const bound = filesystem.filter(({ kind, flags }) => kind === "bind" && !flags.includes("deviceNodes"));
  return [...rootLayers, ...bound.map(({ source }) => source)].map(identity).join("\n");
}
