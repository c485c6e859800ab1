import { BelljarError } from "../../../policy/errors.ts";
import { quoted } from "../../output/terminal.ts";
import { digestOf } from "../digest.ts";
import { checkRunnable, manifestLimits, missingBlob, parseDocument } from "../manifest.ts";
import { checkLayers, parseConfig } from "../manifest-config.ts";
import { documentLimits, isObject, parseJson, refuse } from "../manifest-json.ts";
import { bareMediaType, isImageConfig } from "../media-types.ts";
import type { Descriptor, ImageIndex, ImageManifest } from "../oci-types.ts";
import { choosePlatform } from "../platform.ts";
import { refNameAnnotation } from "../store-index.ts";
import { describeImage, type PlannedImage, type SourceOptions, type SourcePlan } from "./plan.ts";

/** A layout that may be a folder or an archive. */
export interface LayoutContent {
  /** A file beside the blobs; null when there is none. */
  file(name: "oci-layout" | "index.json"): Promise<Buffer | null>;
  /** Size of a blob; null when it is not there. */
  blobSize(descriptor: Descriptor): Promise<number | null>;
  /** All of a small blob, verified. */
  readBlob(descriptor: Descriptor): Promise<Buffer>;
  /** Makes sure that a blob is there and is what its name says, without changing the store. */
  prepare(descriptor: Descriptor): Promise<void>;
  /** Moves a prepared blob into the store. */
  take(descriptor: Descriptor): Promise<void>;
}

/** What containerd and Docker write beside the name of the specification, which may be but a tag. */
const containerdName = "io.containerd.image.name";

/** Names for one image. */
export function namesOf({ annotations = {} }: Descriptor): readonly string[] {
  const name = annotations[containerdName] || annotations[refNameAnnotation];
  return name ? [name] : [];
}

async function checkVersion(content: LayoutContent, doing: string): Promise<void> {
  const bytes = await content.file("oci-layout");
  if (bytes === null) refuse(doing, "is no OCI image layout: it has no file 'oci-layout'");
  const layout = parseJson(bytes, `${doing}: 'oci-layout'`);
  const version = isObject(layout) ? layout["imageLayoutVersion"] : undefined;
  if (typeof version !== "string" || !/^1\.\d+\.\d+$/.test(version))
    refuse(doing, `is an OCI image layout of the unknown version ${quoted(String(version))}`);
}

async function read(content: LayoutContent, descriptor: Descriptor, what: string): Promise<Buffer> {
  const size = await content.blobSize(descriptor);
  if (size === null) throw missingBlob(descriptor, what);
  if (descriptor.size > documentLimits.maxBytes || size !== descriptor.size)
    refuse(
      what,
      `blob ${quoted(descriptor.digest)}: has ${size} bytes; its descriptor says ${descriptor.size}, and ${documentLimits.maxBytes} are the most`,
    );
  return content.readBlob(descriptor);
}

interface Found {
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
}

/** The manifest that a descriptor means on a platform, through indexes within indexes. */
async function findManifest(
  content: LayoutContent,
  descriptor: Descriptor,
  options: { readonly what: string; readonly platform: SourceOptions["platform"]; readonly depth?: number },
): Promise<Found> {
  const { what, platform, depth = 0 } = options;
  if (depth > manifestLimits.maxIndexDepth) refuse(what, "indexes are nested too deep");
  const document = parseDocument(await read(content, descriptor, what), { what, mediaType: descriptor.mediaType });
  if (document.kind === "index") {
    const chosen = choosePlatform(document.index, platform, what);
    return findManifest(content, chosen, { what, platform, depth: depth + 1 });
  }
  const { digest, size } = descriptor;
  return { descriptor: { mediaType: document.mediaType, digest, size }, manifest: document.manifest };
}

/** All that a manifest names must be there, of the right size, before anything of it goes into the store. */
async function checkBlobs(content: LayoutContent, manifest: ImageManifest, what: string): Promise<void> {
  for (const blob of [manifest.config, ...manifest.layers]) {
    const size = await content.blobSize(blob);
    if (size === null) throw missingBlob(blob, what);
    if (size !== blob.size) refuse(what, `blob ${quoted(blob.digest)}: has ${size} bytes instead of ${blob.size}`);
  }
}

async function planImage(
  content: LayoutContent,
  found: Found,
  options: { readonly names: readonly string[]; readonly what: string },
): Promise<PlannedImage> {
  const { descriptor, manifest } = found;
  const { names, what } = options;
  checkRunnable(manifest, what);
  const config = parseConfig(await read(content, manifest.config, what), `${what}: its configuration`);
  checkLayers(manifest, config, what);
  await checkBlobs(content, manifest, what);
  for (const [index, layer] of manifest.layers.entries()) {
    const diffId = config.rootfs.diff_ids[index];
    // A layer that is not compressed has its diff_id for a digest; of the others, unpacking tells.
    if (bareMediaType(layer.mediaType).endsWith("tar") && diffId?.slice(0, 6) === layer.digest.slice(0, 6) && diffId !== layer.digest)
      refuse(what, `layer ${index + 1}: ${quoted(layer.digest)}: has the wrong diff_id (${diffId})`);
  }
  const blobs = [manifest.config, ...manifest.layers, descriptor]; // the manifest last: it names the others
  for (const blob of blobs) await content.prepare(blob);
  const take = async (): Promise<void> => {
    for (const blob of blobs) await content.take(blob);
  };
  return { names, descriptor, manifest, config, take };
}

/** Entries of index.json that mean one image: those of one name, or those without a name that are one image for several platforms. */
function groupEntries(index: ImageIndex): readonly (readonly Descriptor[])[] {
  const groups = new Map<string, Descriptor[]>();
  for (const [number, entry] of index.manifests.entries()) {
    const [name] = namesOf(entry);
    const key = name ?? (entry.platform === undefined ? `\0${number}` : "\0");
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return [...groups.values()];
}

const isArtifact = (manifest: ImageManifest): boolean => !isImageConfig(manifest.config.mediaType);

/** Finds and checks every image of a layout. Nothing is changed. Throws `image-invalid`, `image-not-found`. */
export async function planLayout(content: LayoutContent, options: SourceOptions): Promise<SourcePlan> {
  const { doing, platform } = options;
  await checkVersion(content, doing);
  const bytes = await content.file("index.json");
  if (bytes === null) refuse(doing, "is no OCI image layout: it has no file 'index.json'");
  const document = parseDocument(bytes, { what: `${doing}: 'index.json'`, maxBytes: manifestLimits.maxLayoutIndexBytes });
  if (document.kind !== "index") refuse(doing, "'index.json' is no index");
  const images: PlannedImage[] = [];
  const warnings: string[] = [];
  for (const group of groupEntries(document.index)) {
    const [first] = group;
    if (first === undefined) continue;
    const names = namesOf(first);
    const what = `${doing}: image ${describeImage(names, first)}`;
    const entry = group.length === 1 ? first : choosePlatform({ schemaVersion: 2, manifests: group }, platform, what);
    const found = await findManifest(content, entry, { what, platform });
    // Signatures and the like lie beside images, and are no reason to refuse them.
    if (isArtifact(found.manifest) && document.index.manifests.length > 1)
      warnings.push(`${what}: is an artifact and no image; passed over`);
    else images.push(await planImage(content, found, { names, what }));
  }
  if (images.length === 0) throw new BelljarError("image-not-found", `${doing}: holds no image`);
  return { images, warnings };
}

/** Whether bytes are those that a descriptor means. */
export function checkBytes(bytes: Buffer, descriptor: Descriptor, what: string): Buffer {
  const algorithm = descriptor.digest.startsWith("sha512") ? "sha512" : "sha256";
  const found = digestOf(bytes, algorithm);
  return found === descriptor.digest ? bytes : refuse(what, `blob ${quoted(descriptor.digest)}: has the wrong digest (${found})`);
}
