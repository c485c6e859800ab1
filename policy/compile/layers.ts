/** A root put together from layers: by kernel overlayfs, by fuse-overlayfs as a companion, or by copying them. */
import { BelljarError } from "../errors.ts";
import { type CompanionInput, type Confinement, companion } from "./companions.ts";
import { scratch } from "./entries.ts";
import { imageEtcEntries } from "./etc.ts";
import type { CompiledRoot } from "./rootfs.ts";
import type { LayeredRootfsFacts } from "./types.ts";

/** Where the launcher keeps them while companions start (native/launcher/fs.c, overlay.c). */
const places = {
  root: "/sys/root",
  parts: "/sys/parts",
  layers: "/sys/parts/layers",
  upper: "/sys/parts/upper",
  work: "/sys/parts/overlay",
} as const;

/** To read and write everything of the tree whatever its modes, and to give files their owners, devices and attributes. */
const treeCapabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_SETFCAP"];
/** fuse-overlayfs acts as whoever calls it, and keeps whiteouts as devices; to look at its namespace it needs CAP_SYS_ADMIN there. */
const fuseCapabilities = [...treeCapabilities, "CAP_SETGID", "CAP_SETUID", "CAP_SYS_ADMIN", "CAP_MKNOD"];

const fuseDeadlineMs = 10_000;
/** Of copying a whole image. */
const copyDeadlineMs = 300_000;
/** The kernel's own (OVL_MAX_STACK); the others could take more, but the same image should run by all. */
export const maxLayers = 500;

function fuseCompanion(program: string, layers: readonly string[]): CompanionInput {
  const lower = layers.map((_, i) => `${places.layers}/${layers.length - 1 - i}`).join(":");
  return {
    argv: [program, "-f", "-o", `lowerdir=${lower},upperdir=${places.upper},workdir=${places.work}`, "/dev/fd/4"],
    capabilities: fuseCapabilities,
    ready: "none", // requests wait for it
    deadlineMs: fuseDeadlineMs,
    fuse: true,
    reads: layers,
    writes: [places.parts],
  };
}

function copyCompanion(program: string, layers: readonly string[]): CompanionInput {
  return {
    argv: [program, "merge", places.root, places.layers, String(layers.length)],
    capabilities: treeCapabilities,
    ready: "byte",
    deadlineMs: copyDeadlineMs,
    reads: [...layers, places.parts],
    writes: [places.root],
  };
}

interface LayersInput {
  readonly writable: boolean;
  readonly hostname: string;
  readonly confinement: Confinement;
}

/**
 * Throws BelljarError `not-supported` for more layers than overlayfs takes, `guard-unavailable` for a driver whose program is missing.
 */
export function compileLayers(facts: LayeredRootfsFacts, { writable, hostname, confinement }: LayersInput): CompiledRoot {
  const { layers, driver, fuseOverlayfs, apply } = facts;
  if (layers.length === 0) throw new BelljarError("image-invalid", "compiling the plan: the image has no layers, so nothing to run");
  if (layers.length > maxLayers)
    throw new BelljarError("not-supported", `compiling the plan: the image has ${layers.length} layers, more than ${maxLayers}`);
  if (driver === "fuse-overlayfs" && fuseOverlayfs === null)
    throw new BelljarError("guard-unavailable", "compiling the plan: overlay driver 'fuse-overlayfs': the program is not installed", {
      hint: "install the package 'fuse-overlayfs', or leave out --overlay-driver",
    });
  const root = { rootLayers: layers, rootReadOnly: !writable };
  const entries = [
    ...imageEtcEntries({ hostname, network: confinement.network }),
    // A writable root has the image's own.
    ...(writable ? [] : [scratch("/var/tmp", { name: "var-tmp", mode: 0o1777 })]),
  ];
  switch (driver) {
    case "kernel":
      return { ...root, rootKind: "overlay", companions: [], entries };
    case "fuse-overlayfs":
      return { ...root, rootKind: "fuse", companions: [companion(fuseCompanion(fuseOverlayfs ?? "", layers), confinement)], entries };
    case "copy":
      return { ...root, rootKind: "copy", companions: [companion(copyCompanion(apply, layers), confinement)], entries };
  }
}
