import { readFileSync } from "node:fs";
import { BelljarError } from "../../policy/errors.ts";
import { printable, quoted } from "../output/terminal.ts";
import type { Descriptor, ImageConfig, ImageIndex, Platform } from "./oci-types.ts";

/** Spellings of other worlds (uname -m, Debian, Docker's old ones) for Go's names, which images use. */
const aliases: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
  armv7l: ["arm", "v7"],
  armv6l: ["arm", "v6"],
  i386: ["386"],
  i686: ["386"],
};

/** What an image means that names no variant, and the oldest variant there is. */
const variants: Readonly<Record<string, { readonly implied: number; readonly oldest: number }>> = {
  amd64: { implied: 1, oldest: 1 },
  arm: { implied: 7, oldest: 5 },
  arm64: { implied: 8, oldest: 8 },
};

/** What buildkit puts beside an image: it says something about it, and is none. */
const referenceType = "vnd.docker.reference.type";

/** In Go's spelling. An upper-case or foreign spelling is the same machine. */
function normalized({ os, architecture, variant }: Platform): Platform {
  const lower = architecture.toLowerCase();
  const [name, implied] = aliases[lower] ?? [lower];
  const given = (variant ?? "").toLowerCase();
  const chosen = /^\d/.test(given) ? `v${given}` : given || implied;
  return { os: os.toLowerCase(), architecture: name, ...(chosen === undefined || chosen === "" ? {} : { variant: chosen }) };
}

export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = normalized(platform);
  return [os, architecture, ...(variant === undefined ? [] : [variant])].map((part) => printable(part) || "unknown").join("/");
}

/**
 * Reads "linux/arm64", "linux/arm/v7" or "arm64" (then of Linux), in any usual spelling of the architecture.
 * Throws BelljarError `usage`.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  const [os = "", architecture = "", variant] = parts.length === 1 ? ["linux", ...parts] : parts;
  const isWord = (part: string | undefined): boolean => part === undefined || /^[a-z0-9][a-z0-9_.-]{0,31}$/.test(part);
  if (parts.length > 3 || ![os, architecture, variant].every(isWord))
    throw new BelljarError("usage", `--platform: ${quoted(text)}: must be OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT`, {
      hint: "such as linux/amd64, linux/arm64 or linux/arm/v7",
    });
  return normalized({ os, architecture, ...(variant === undefined ? {} : { variant }) });
}

/** Features of each level of x86-64 (psABI, "Micro-Architecture Levels"), in the spelling of /proc/cpuinfo. */
const levels: readonly (readonly string[])[] = [
  ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"],
  ["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"],
  ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"],
];

/** Level of x86-64 that the first processor has, 1 to 4; 1 when nothing is known. */
export function x86Level(cpuinfo: string): number {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.split(/\s+/) ?? []);
  const missing = levels.findIndex((names) => !names.every((name) => flags.has(name)));
  return missing === -1 ? levels.length + 1 : missing + 1;
}

/** What programs this machine runs. */
export function hostPlatform(
  architecture: string = process.arch,
  readCpuinfo: () => string = () => readFileSync("/proc/cpuinfo", "utf8"),
): Platform {
  if (architecture === "arm64") return { os: "linux", architecture: "arm64", variant: "v8" };
  try {
    return { os: "linux", architecture: "amd64", variant: `v${x86Level(readCpuinfo())}` };
  } catch {
    return { os: "linux", architecture: "amd64", variant: "v1" };
  }
}

/** "v8.2" -> 8.2; the implied one for none; null for what has no order. */
function variantNumber({ architecture, variant }: Platform): number | null {
  if (variant === undefined) return variants[architecture]?.implied ?? 0;
  const [, number] = /^v(\d{1,3}(?:\.\d{1,2})?)$/.exec(variant) ?? [];
  return number === undefined || variants[architecture] === undefined ? null : Number(number);
}

/**
 * How well a machine runs an image: null not at all, else the higher, the better. A machine runs its own variant and every older one,
 * never a newer one.
 */
function rank(image: Platform, machine: Platform): number | null {
  const [have, want] = [normalized(image), normalized(machine)];
  if (have.os !== want.os || have.architecture !== want.architecture) return null;
  const [number, newest] = [variantNumber(have), variantNumber(want)];
  if (number === null || newest === null) return have.variant === want.variant ? 0 : null;
  return number <= newest && number >= (variants[have.architecture]?.oldest ?? 0) ? number : null;
}

/** Whether a machine of one platform can run an image of another. */
export function canRun(image: Platform, machine: Platform): boolean {
  return rank(image, machine) !== null;
}

/** Attestations, signatures and other things that hang on an image. */
function isNoImage({ annotations, platform, artifactType }: Descriptor): boolean {
  if (annotations?.[referenceType] !== undefined || artifactType !== undefined) return true;
  return platform !== undefined && [platform.os, platform.architecture].includes("unknown");
}

const isUnlabelled = ({ platform }: Descriptor): boolean => platform === undefined || (platform.os === "" && platform.architecture === "");

/**
 * The entries of an index that may be for a platform, the best first; those without a platform come last, since only their
 * configuration can tell.
 */
export function platformCandidates(index: ImageIndex, wanted: Platform): readonly Descriptor[] {
  const images = index.manifests.filter((entry) => !isNoImage(entry));
  const ranked = images.flatMap((entry) => {
    const value = entry.platform === undefined || isUnlabelled(entry) ? null : rank(entry.platform, wanted);
    return value === null ? [] : [{ entry, value }];
  });
  // The sort is stable: of equals the first in the index wins, as the image specification says.
  return [...ranked.sort((a, b) => b.value - a.value).map(({ entry }) => entry), ...images.filter(isUnlabelled)];
}

/** `image-not-found`: an index has nothing for a platform. Names what it has. */
export function noPlatform(index: ImageIndex, wanted: Platform, what: string): BelljarError {
  const images = index.manifests.filter((entry) => !isNoImage(entry));
  const names = [...new Set(images.map(({ platform }) => formatPlatform(platform ?? { os: "", architecture: "" })))];
  const shown = names.length > 12 ? [...names.slice(0, 12), `${names.length - 12} more`] : names;
  const reason = names.length === 0 ? "the index holds no image at all" : `there is none for ${formatPlatform(wanted)}, only for`;
  return new BelljarError("image-not-found", `${what}: ${reason}${names.length === 0 ? "" : ` ${shown.join(", ")}`}`);
}

/** The entry of an index for a platform. Throws BelljarError `image-not-found` that names what there is. */
export function choosePlatform(index: ImageIndex, wanted: Platform, what = "choosing an image"): Descriptor {
  const [best] = platformCandidates(index, wanted);
  if (best === undefined) throw noPlatform(index, wanted, what);
  return best;
}

/** The platform of an image as its configuration says; null when it says nothing. */
export function configPlatform({ os, architecture, variant }: ImageConfig): Platform | null {
  if (os === "" && architecture === "") return null;
  return { os: os || "linux", architecture, ...(variant === undefined ? {} : { variant }) };
}
