import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { checkRunnable, type ImageDocument, manifestLimits, parseDocument } from "./manifest.ts";
import { checkLayers, parseConfig } from "./manifest-config.ts";
import { documentLimits, refuse } from "./manifest-json.ts";
import { documentKind } from "./media-types.ts";
import type { Descriptor, ImageConfig, ImageManifest, Platform, Reference } from "./oci-types.ts";
import { canRun, configPlatform, formatPlatform, noPlatform, platformCandidates } from "./platform.ts";
import { type BlobOptions, fetchBlob } from "./pull-blobs.ts";
import { formatReference } from "./reference.ts";

export interface ResolvedImage {
  readonly descriptor: Descriptor;
  /** Of the manifest. */
  readonly bytes: Buffer;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
}

export interface ResolveOptions extends BlobOptions {
  readonly reference: Reference;
  readonly platform: Platform;
}

interface Document {
  readonly bytes: Buffer;
  readonly document: ImageDocument;
  readonly descriptor: Descriptor;
}

/** Manifests that are fetched to find the right one; only entries without a platform need more than a few. */
const maxFetches = 32;

/** An entry of an index turned out to be for another machine. */
class OtherPlatform extends Error {
  readonly found: Platform;
  constructor(found: Platform) {
    super("for another platform");
    this.found = found;
  }
}

function read(
  bytes: Buffer,
  what: string,
  options: { readonly descriptor: Omit<Descriptor, "size">; readonly header: string | null },
): Document {
  const { descriptor, header } = options;
  const document = parseDocument(bytes, { what: `${what}: its manifest`, mediaType: header });
  const promised = documentKind(descriptor.mediaType);
  if (promised !== null && promised !== document.kind)
    refuse(what, `${quoted(descriptor.digest)} is no ${promised} although its descriptor says so`);
  return { bytes, document, descriptor: { mediaType: document.mediaType, digest: descriptor.digest, size: bytes.length } };
}

/** A blob of the store; null where it is not there, also because it was damaged and reading has taken it out. */
async function storedBytes(descriptor: Descriptor, { store }: ResolveOptions): Promise<Buffer | null> {
  if (!(await store.hasBlob(descriptor))) return null;
  try {
    return await store.readBytes(descriptor);
  } catch (error) {
    if (error instanceof BelljarError && error.code === "image-invalid") return null;
    throw error;
  }
}

/** A document by its descriptor, from the store where it is there already. */
async function childDocument(descriptor: Descriptor, options: ResolveOptions): Promise<Document> {
  const { what, client } = options;
  if (descriptor.size > documentLimits.maxBytes)
    refuse(what, `${quoted(descriptor.digest)} is larger than ${documentLimits.maxBytes} bytes`);
  const stored = await storedBytes(descriptor, options);
  if (stored !== null) return read(stored, what, { descriptor, header: descriptor.mediaType });
  const { bytes, mediaType } = await client.manifest(descriptor.digest);
  if (bytes.length !== descriptor.size)
    refuse(what, `${quoted(descriptor.digest)} has ${bytes.length} bytes, not the ${descriptor.size} that its descriptor says`);
  return read(bytes, what, { descriptor, header: mediaType });
}

/** What the reference itself names. What is in the store under this name is asked for by HEAD only, which registries do not count. */
async function rootDocument(options: ResolveOptions): Promise<Document> {
  const { what, client, store, reference, signal } = options;
  const { tag, digest } = reference;
  const wanted = digest ?? tag ?? "latest";
  const name = formatReference(reference);
  const known = (await store.list()).find((entry) => entry.name === name)?.descriptor;
  const stored = known === undefined || known.size > documentLimits.maxBytes ? null : await storedBytes(known, options);
  if (known !== undefined && stored !== null) {
    // Whatever goes wrong here goes wrong again with GET, and is told then.
    const current = digest ?? (await client.digest(wanted).catch(() => null));
    signal.throwIfAborted();
    if (current === known.digest) return read(stored, what, { descriptor: known, header: known.mediaType });
  }
  const { bytes, mediaType, digest: found } = await client.manifest(wanted);
  return read(bytes, what, { descriptor: { mediaType: "", digest: found }, header: mediaType });
}

async function checkedImage({ bytes, document, descriptor }: Document, options: ResolveOptions): Promise<ResolvedImage> {
  const { what, store, limits, platform } = options;
  if (document.kind !== "manifest") return refuse(what, "is an index, not a manifest");
  const { manifest } = document;
  checkRunnable(manifest, what);
  if (manifest.config.size > documentLimits.maxBytes) refuse(what, `its configuration is larger than ${documentLimits.maxBytes} bytes`);
  const total = manifest.layers.reduce((sum, { size }) => sum + size, 0);
  if (total > limits.maxImageBytes) refuse(what, `its layers have ${total} bytes, more than the limit of ${limits.maxImageBytes}`);
  // A damaged one is taken out by this, and comes again.
  await storedBytes(manifest.config, options);
  await fetchBlob(manifest.config, { ...options, progress: (event) => event.kind === "waiting" && options.progress(event) });
  const config = parseConfig(await store.readBytes(manifest.config), `${what}: its configuration`);
  checkLayers(manifest, config, what);
  const found = configPlatform(config);
  if (found !== null && !canRun(found, platform)) throw new OtherPlatform(found);
  return { bytes, manifest, config, descriptor: { ...descriptor, ...(found === null ? {} : { platform: found }) } };
}

/** The image for the platform that a document leads to: itself, or through its index. */
async function imageOf(
  found: Document,
  options: ResolveOptions,
  state: { readonly depth: number; fetches: number },
): Promise<ResolvedImage> {
  const { what, platform } = options;
  if (found.document.kind === "manifest") return checkedImage(found, options);
  if (state.depth > manifestLimits.maxIndexDepth) refuse(what, "its indexes are nested too deep");
  const { index } = found.document;
  for (const candidate of platformCandidates(index, platform)) {
    if (++state.fetches > maxFetches) refuse(what, `its index has more than ${maxFetches} entries that may be the right one`);
    try {
      const nested = { depth: state.depth + 1, fetches: state.fetches };
      const image = await imageOf(await childDocument(candidate, options), options, nested);
      state.fetches = nested.fetches;
      return image;
    } catch (error) {
      const isLabelled = candidate.platform !== undefined && candidate.platform.architecture !== "";
      if (error instanceof OtherPlatform && isLabelled)
        refuse(what, `its index says ${formatPlatform(platform)} where the image is for ${formatPlatform(error.found)}`);
      // Without a label only a look inside tells.
      const isElsewhere =
        error instanceof OtherPlatform || (error instanceof BelljarError && error.code === "image-not-found" && !isLabelled);
      if (!isElsewhere) throw error;
    }
  }
  throw noPlatform(index, platform, what);
}

/**
 * Finds the image that a reference means for a platform, with its configuration in the store. Each document is checked against the digest and the size
 * by which it is named. Throws BelljarError: `image-not-found`, `image-invalid`, `not-supported`, and what the registry leads to.
 */
export async function resolveImage(options: ResolveOptions): Promise<ResolvedImage> {
  const { what, platform } = options;
  try {
    return await imageOf(await rootDocument(options), options, { depth: 0, fetches: 0 });
  } catch (error) {
    if (!(error instanceof OtherPlatform)) throw error;
    const found = formatPlatform(error.found);
    throw new BelljarError("image-not-found", `${what}: is for ${found} only, not for ${formatPlatform(platform)}`, {
      hint: `--platform ${found} gets it nevertheless, to look at it or to run it on such a machine`,
    });
  }
}
