import { spawnSync } from "node:child_process";
import { accessSync, constants, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { OverlayMechanism } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import type { OverlayDriver } from "../../policy/profile/types.ts";
import { bootId } from "./boot-id.ts";
import { cacheHome, readOwnFile, replaceFile } from "./cache-home.ts";
import { overlayChoice } from "./capabilities.ts";
import { findCommand } from "./subid.ts";

type Environment = Readonly<Record<string, string | undefined>>;

interface KernelAnswer {
  readonly ok: boolean;
  readonly errno: number;
  /** Whether it can be mounted at all, though removing fails then. */
  readonly mounts: boolean;
}

/** What was tried holds for one boot and one launcher: an update of either tries again. */
function stampOf(launcher: string): string {
  const status = lstatSync(launcher, { throwIfNoEntry: false });
  return `${bootId()} ${status?.ino} ${status?.mtimeMs} ${process.getuid?.()}`;
}

function parseAnswer(text: string | null, stamp: string): KernelAnswer | null {
  try {
    const value = JSON.parse(text ?? "") as Partial<KernelAnswer & { readonly stamp: string }>;
    const whole =
      value.stamp === stamp && typeof value.ok === "boolean" && typeof value.errno === "number" && typeof value.mounts === "boolean";
    return whole ? (value as KernelAnswer) : null;
  } catch {
    return null;
  }
}

/** Whether kernel overlay works with its upper directory on tmpfs, by trying all that it must do there; once a boot. */
async function kernelAnswer(launcher: string, environment: Environment): Promise<KernelAnswer> {
  const home = cacheHome(environment);
  const path = home === null ? null : join(home, "overlay.json");
  const stamp = stampOf(launcher);
  const known = path === null ? null : parseAnswer(readOwnFile(path), stamp);
  if (known !== null) return known;
  const { probeByLauncher } = await import("./doctor-probe.ts");
  const result = probeByLauncher(launcher);
  if ("failure" in result) throw new BelljarError("launcher-failed", `probing the host: the launcher '${launcher}': ${result.failure}`);
  const { overlay, overlayMount } = result.answers;
  const answer = { ok: overlay?.ok === true, errno: overlay?.errno ?? 0, mounts: overlayMount?.ok === true };
  if (path !== null) replaceFile(path, JSON.stringify({ stamp, ...answer }));
  return answer;
}

/** The same with the upper directory in this very folder, in which what was tried stays. */
function answerIn(folder: string, launcher: string): KernelAnswer {
  const probe = join(folder, "probe");
  mkdirSync(probe, { mode: 0o700 });
  const { status, signal, error } = spawnSync(launcher, ["probe-overlay", probe], { env: {}, cwd: "/", timeout: 20_000 });
  if (error !== undefined || status === null)
    throw new BelljarError("launcher-failed", `probing the host: the launcher '${launcher}': ${error?.message ?? signal}`);
  return { ok: status === 0, errno: status, mounts: true };
}

function canOpenFuse(): boolean {
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export interface ChosenDriver {
  readonly driver: OverlayMechanism;
  readonly fuseOverlayfs: string | null;
  readonly warnings: readonly string[];
}

const unavailable = (driver: string, reason: string, hint: string): BelljarError =>
  new BelljarError("guard-unavailable", `choosing how layers become one tree: overlay driver '${driver}': ${reason}`, { hint });

function requireFuse(program: string | null): void {
  if (program === null)
    throw unavailable(
      "fuse-overlayfs",
      "the program is not installed",
      "install the package 'fuse-overlayfs', or leave out --overlay-driver",
    );
  if (!canOpenFuse())
    throw unavailable(
      "fuse-overlayfs",
      "/dev/fuse cannot be opened",
      "as root: modprobe fuse; chmod 666 /dev/fuse, as distributions have it",
    );
}

async function requireKernel({ ok, mounts, errno }: KernelAnswer, upper: string | null): Promise<void> {
  if (ok) return;
  const { errnoName } = await import("./remedies.ts");
  throw unavailable(
    "kernel",
    upper !== null
      ? `it does not work with its upper directory in '${upper}' (${errnoName(errno)})`
      : mounts
        ? "it can be mounted, but not with its upper directory on tmpfs, where this kernel keeps no user attributes (6.6 does)"
        : "this user cannot mount it (that came with Linux 5.11)",
    "leave out --overlay-driver, or take fuse-overlayfs or copy",
  );
}

/**
 * The driver that is asked for, if it works here, or the best that does: kernel, then fuse-overlayfs, then copying. A mount that
 * succeeds proves nothing, so the kernel's is tried with all that it must do. Throws BelljarError `guard-unavailable`.
 */
export async function chooseDriver(
  asked: OverlayDriver,
  { launcher, environment, upper }: { readonly launcher: string; readonly environment: Environment; readonly upper: string | null },
): Promise<ChosenDriver> {
  if (asked === "copy") return { driver: "copy", fuseOverlayfs: null, warnings: [] };
  if (asked !== "fuse-overlayfs") {
    const kernel = upper === null ? await kernelAnswer(launcher, environment) : answerIn(upper, launcher);
    if (asked === "kernel") await requireKernel(kernel, upper);
    if (kernel.ok) return { driver: "kernel", fuseOverlayfs: null, warnings: [] };
  }
  const fuseOverlayfs = findCommand("fuse-overlayfs", environment["PATH"]);
  if (asked === "fuse-overlayfs") requireFuse(fuseOverlayfs);
  const driver = overlayChoice({ overlay: { ok: false, errno: 0 }, fuse: { ok: canOpenFuse(), errno: 0 } }, fuseOverlayfs);
  const warnings =
    driver === "copy"
      ? ["the whole image is copied for every run: neither kernel overlay nor fuse-overlayfs works here ('belljar doctor' says why)"]
      : [];
  return { driver, fuseOverlayfs, warnings };
}
