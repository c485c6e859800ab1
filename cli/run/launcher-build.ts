import { spawnSync } from "node:child_process";
import { wireTable } from "../../policy/wire/wire.gen.ts";

const patienceMs = 5000;

/**
 * What to do about a launcher of another build, which refuses our plans or answers what we do not understand; null when it is of
 * ours, or cannot be asked. Only looked at after such a failure.
 */
export function otherBuildHint(launcher: string): string | null {
  const { stdout, status } = spawnSync(launcher, ["version"], {
    encoding: "utf8",
    timeout: patienceMs,
    env: {},
    cwd: "/",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const found = /^belljar-launch wire (\S+)\n$/.exec(stdout ?? "")?.[1];
  if (status !== 0 && found === undefined) return null;
  return found === wireTable
    ? null
    : `the launcher '${launcher}' is of another build: install belljar again, or in a checkout: npm run build`;
}
