import { type Launcher, launcherPath, startLauncher } from "./launcher.ts";

/**
 * Two launchers, each with the other's stdout as its stdin. The pipes are those that Node makes for the first; the second inherits our
 * ends of them, and then we let go of these: no byte passes through this process, and the end of either side is seen by the other.
 * Neither has a plan yet, so nothing can have been written before. Throws BelljarError `launcher-failed`.
 */
export async function startJoined(): Promise<readonly [Launcher, Launcher]> {
  const launcher = launcherPath();
  const first = await startLauncher({ launcher, targets: ["pipe", "pipe", "pipe"], detached: true });
  try {
    const { stdin, stdout } = first;
    if (stdin === null || stdout === null) throw new Error("a pipe is missing");
    const second = await startLauncher({ launcher, targets: [stdout, stdin, "pipe"], detached: true });
    const alone = { stdin: null, stdout: null };
    return [
      { ...first, ...alone },
      { ...second, ...alone },
    ];
  } catch (error) {
    first.drop();
    throw error;
  } finally {
    first.stdin?.destroy();
    first.stdout?.destroy();
  }
}
