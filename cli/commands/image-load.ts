import { BelljarError } from "../../policy/errors.ts";
import { parsePlatform } from "../image/platform.ts";
import type { ArchiveFormat, SavedImage } from "../image/sinks/formats.ts";
import { saveImages } from "../image/sinks/save.ts";
import { type LoadedImage, loadImages } from "../image/sources/load.ts";
import { importRootfs } from "../image/sources/rootfs-tar.ts";
import type { Store } from "../image/store.ts";
import { printable, quoted } from "../output/terminal.ts";
import { type ImageOptions, onStore, tell, warn } from "./image-store.ts";

/** "loaded docker.io/library/alpine:latest (sha256:…)". */
function lineOf(verb: string, { names, descriptor }: LoadedImage): string {
  return printable(names.length === 0 ? `${verb} ${descriptor.digest}` : `${verb} ${names.join(", ")} (${descriptor.digest})`);
}

const facts = ({ names, descriptor }: LoadedImage): object => ({ names, digest: descriptor.digest });

export interface LoadArguments extends ImageOptions {
  readonly input: string;
  readonly name?: string | undefined;
  readonly platform?: string | undefined;
}

/** `belljar image load`. */
export function loadCommand(options: LoadArguments): Promise<number> {
  const { input, name, platform } = options;
  const wanted = platform === undefined ? undefined : parsePlatform(platform);
  return onStore({ ...options, paths: true }, async ({ store, signal }) => {
    const { images, warnings } = await loadImages({ store, input, name, platform: wanted, signal });
    warn(options, warnings);
    await tell(
      options,
      { images: images.map(facts), warnings },
      images.map((image) => lineOf("loaded", image)),
    );
    return 0;
  });
}

export interface ImportArguments extends ImageOptions {
  readonly input: string;
  readonly name: string | null;
  readonly platform?: string | undefined;
}

/** `belljar image import`. */
export function importCommand(options: ImportArguments): Promise<number> {
  const { input, name, platform } = options;
  const wanted = platform === undefined ? undefined : parsePlatform(platform);
  return onStore({ ...options, paths: true }, async ({ store, signal }) => {
    const image = await importRootfs({ store, input, name, platform: wanted, signal });
    await tell(options, { images: [facts(image)], warnings: [] }, [lineOf("imported", image)]);
    return 0;
  });
}

export interface SaveArguments extends ImageOptions {
  readonly images: readonly string[];
  readonly output: string;
  readonly format: string;
}

const isFormat = (text: string): text is ArchiveFormat => text === "oci-archive" || text === "docker-archive";

/** An image that was named is saved under that name; one that was found by its id, under all of its names. */
async function savedImage(store: Store, text: string): Promise<SavedImage> {
  const { name, descriptor, by } = await store.resolve(text);
  const image = await store.readImage(descriptor, `saving ${quoted(text)}`);
  if (by === "name" && name !== null) return { names: [name], image };
  const entries = (await store.list()).filter((entry) => entry.descriptor.digest === descriptor.digest);
  return { names: entries.flatMap((entry) => (entry.name === null ? [] : [entry.name])), image };
}

/** Images of one digest are one image with several names. */
function merged(images: readonly SavedImage[]): readonly SavedImage[] {
  const byDigest = new Map<string, SavedImage>();
  for (const { names, image } of images) {
    const before = byDigest.get(image.descriptor.digest)?.names ?? [];
    byDigest.set(image.descriptor.digest, { names: [...new Set([...before, ...names])], image });
  }
  return [...byDigest.values()];
}

/** `belljar image save`. */
export function saveCommand(options: SaveArguments): Promise<number> {
  const { images, output, format } = options;
  if (!isFormat(format))
    throw new BelljarError("usage", `reading options: ${quoted(format)}: is no format`, { hint: "oci-archive or docker-archive" });
  return onStore({ ...options, paths: true }, async ({ store, signal }) => {
    await store.hold(signal);
    const found: SavedImage[] = [];
    for (const text of images) found.push(await savedImage(store, text));
    await saveImages({ store, images: merged(found), format, output, signal });
    return 0;
  });
}
