import { BelljarError } from "../../../policy/errors.ts";
import { printable } from "../../output/terminal.ts";
import type { Descriptor, Platform } from "../oci-types.ts";
import { canRun, configPlatform, formatPlatform, hostPlatform } from "../platform.ts";
import { formatReference, parseReference } from "../reference.ts";
import type { Store } from "../store.ts";
import { type ArchiveLimits, readArchive } from "./archive.ts";
import { archiveKind, planDockerArchive } from "./docker-archive.ts";
import { inputBytes, isFolder } from "./input.ts";
import { archiveContent, folderContent } from "./layout-content.ts";
import { planLayout } from "./oci-layout.ts";
import type { PlannedImage, SourceOptions, SourcePlan } from "./plan.ts";

export interface LoadOptions {
  readonly store: Store;
  /** An archive, a folder with an OCI layout, or "-" for standard input. */
  readonly input: string;
  /** Which image of several; default: this machine's. */
  readonly platform?: Platform | undefined;
  /** Instead of the names in the archive, which then must hold one image. */
  readonly name?: string | undefined;
  readonly limits?: Partial<ArchiveLimits> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface LoadedImage {
  /** Full references that mean it now; empty when it has no name. */
  readonly names: readonly string[];
  readonly descriptor: Descriptor;
}

export interface Loaded {
  readonly images: readonly LoadedImage[];
  readonly warnings: readonly string[];
}

async function readPlan(options: LoadOptions, source: SourceOptions): Promise<SourcePlan> {
  const { store, input, limits, signal } = options;
  const { doing } = source;
  if (await isFolder(input, doing)) return planLayout(folderContent(store, input, { doing, signal }), source);
  const archive = await readArchive(store, inputBytes(input, { doing, signal }), { doing, limits });
  const kind = archiveKind(archive);
  if (kind === "oci") return planLayout(archiveContent(store, archive, doing), source);
  if (kind === "docker") return planDockerArchive(store, archive, source);
  const reason = kind === null ? "holds no image" : "is an archive of Docker before 1.10, without manifest.json";
  throw new BelljarError("image-invalid", `${doing}: ${reason}`, {
    hint:
      kind === null
        ? "an archive of a root file system becomes an image with: belljar image import"
        : "save the image again with a current tool",
  });
}

/** Full references from what the archive says. A name that is none is passed over with a warning: it is a stranger's. */
function referencesOf(
  image: PlannedImage,
  options: { readonly name: string | undefined; readonly warn: (text: string) => void },
): readonly string[] {
  const { name, warn } = options;
  if (name !== undefined) return [formatReference(parseReference(name))];
  return image.names.flatMap((text) => {
    try {
      return [formatReference(parseReference(text))];
    } catch (error) {
      warn(`the name '${printable(text)}' in the archive is not used: ${(error as Error).message}`);
      return [];
    }
  });
}

function platformWarning({ config }: PlannedImage, wanted: Platform): string | null {
  const platform = configPlatform(config);
  if (platform === null || canRun(platform, wanted)) return null;
  return `the image is for ${formatPlatform(platform)}, not for ${formatPlatform(wanted)}`;
}

/**
 * Loads all images of an archive (OCI or Docker's, plain, gzip or zstd) or of an OCI layout in a folder. Everything is read and
 * checked first: when anything is wrong, the store has not changed. Throws BelljarError `image-invalid`, `image-not-found`,
 * `file-unreadable`, `store-failed`, `cancelled`, `usage`.
 */
export async function loadImages(options: LoadOptions): Promise<Loaded> {
  const { store, input, platform = hostPlatform(), name, signal } = options;
  const doing = input === "-" ? "loading from standard input" : `loading '${printable(input)}'`;
  await store.hold(signal);
  const { images, warnings } = await readPlan(options, { doing, platform, signal });
  if (name !== undefined && images.length > 1)
    throw new BelljarError("usage", `${doing}: holds ${images.length} images, and --name names one`, { hint: "leave out --name" });
  const notes = [...warnings];
  const loaded: LoadedImage[] = [];
  const planned = images.map((image) => ({ image, names: referencesOf(image, { name, warn: (text) => notes.push(`${doing}: ${text}`) }) }));
  for (const { image, names } of planned) {
    if (signal?.aborted) throw new BelljarError("cancelled", `${doing}: cancelled`);
    const warning = platformWarning(image, platform);
    if (warning !== null) notes.push(`${doing}: ${warning}`);
    await image.take();
    loaded.push({ names, descriptor: image.descriptor });
  }
  await store.setReferences(
    loaded.flatMap(({ names, descriptor }) => (names.length === 0 ? [null] : names).map((reference) => ({ name: reference, descriptor }))),
  );
  return { images: loaded, warnings: notes };
}
