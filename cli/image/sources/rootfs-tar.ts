import { createHash } from "node:crypto";
import { BelljarError } from "../../../policy/errors.ts";
import { printable } from "../../output/terminal.ts";
import { digestFrom, digestOf } from "../digest.ts";
import { decompress, sniffCompression } from "../layer/decompress.ts";
import { defaultLayerLimits } from "../layer/limits.ts";
import { LayerProblem, layerError } from "../layer/problem.ts";
import { tarReader } from "../layer/tar-reader.ts";
import { mediaTypes } from "../media-types.ts";
import type { Descriptor, Digest, ImageConfig, ImageManifest, Platform } from "../oci-types.ts";
import { hostPlatform } from "../platform.ts";
import { formatReference, parseReference } from "../reference.ts";
import type { Store } from "../store.ts";
import type { Stage } from "../store-stage.ts";
import { inputBytes } from "./input.ts";
import type { LoadedImage } from "./load.ts";

export interface ImportOptions {
  readonly store: Store;
  /** A tar archive of a root file system, or "-" for standard input. */
  readonly input: string;
  readonly name: string | null;
  /** What its programs are for; default: this machine. */
  readonly platform?: Platform | undefined;
  /** What the image is to run with. */
  readonly config?: NonNullable<ImageConfig["config"]> | undefined;
  readonly signal?: AbortSignal | undefined;
}

const layerTypes = { none: mediaTypes.layerTar, gzip: mediaTypes.layerTarGzip, zstd: mediaTypes.layerTarZstd } as const;

/** Writes bytes down as they pass. */
async function* keeping(
  source: AsyncIterable<Buffer>,
  options: { readonly stage: Stage; readonly onFront: (bytes: Buffer) => void },
): AsyncGenerator<Buffer> {
  const { stage, onFront } = options;
  let front: Buffer | null = Buffer.alloc(0);
  for await (const chunk of source) {
    if (front !== null) {
      front = Buffer.concat([front, chunk.subarray(0, 16)]);
      if (front.length >= 6) {
        onFront(front);
        front = null;
      }
    }
    await stage.write(chunk);
    yield chunk;
  }
  if (front !== null) onFront(front);
}

/** Somebody took the wrong command. */
function isArchiveOfImages(names: readonly string[]): boolean {
  const top = names.map((name) => name.replace(/^\.?\//, ""));
  return top.includes("oci-layout") || (top.includes("manifest.json") && top.some((name) => /^[0-9a-f]{64}(?:\.json|\.tar|\/)/.test(name)));
}

interface Read {
  readonly diffId: Digest;
  readonly compression: keyof typeof layerTypes;
}

/** Reads the archive through to its end: whole, a tar archive, and with something in it. */
async function readThrough(source: AsyncIterable<Buffer>, options: { readonly stage: Stage; readonly doing: string }): Promise<Read> {
  const { stage, doing } = options;
  const names: string[] = [];
  let entries = 0;
  const reader = tarReader(
    {
      entry: ({ path }) => {
        entries++;
        if (names.length < 1000) names.push(path);
      },
      data: () => undefined,
    },
    defaultLayerLimits,
  );
  const hash = createHash("sha256");
  let compression: keyof typeof layerTypes = "none";
  const kept = keeping(source, {
    stage,
    onFront: (bytes) => {
      compression = sniffCompression(bytes);
    },
  });
  for await (const chunk of decompress(kept, defaultLayerLimits)) {
    hash.update(chunk);
    reader.write(chunk);
  }
  reader.end();
  if (entries === 0) throw new LayerProblem("holds no files");
  if (isArchiveOfImages(names))
    throw new BelljarError("image-invalid", `${doing}: is an archive of images, not of a root file system`, {
      hint: "load it with: belljar image load",
    });
  return { diffId: digestFrom(hash), compression };
}

/**
 * Makes an image of one layer from a tar archive of a root file system, plain or compressed; the archive is kept as it is.
 * When anything is wrong with it, the store has not changed. Throws BelljarError `image-invalid`, `file-unreadable`,
 * `image-reference`, `store-failed`, `cancelled`.
 */
export async function importRootfs(options: ImportOptions): Promise<LoadedImage> {
  const { store, input, name, platform = hostPlatform(), config, signal } = options;
  const doing = input === "-" ? "importing from standard input" : `importing '${printable(input)}'`;
  const reference = name === null ? null : formatReference(parseReference(name));
  await store.hold(signal);
  const stage = await store.stage({
    maxBytes: defaultLayerLimits.maxBytes,
    tooLarge: () => new BelljarError("image-invalid", `${doing}: is larger than ${defaultLayerLimits.maxBytes} bytes`),
  });
  try {
    const { diffId, compression } = await readThrough(inputBytes(input, { doing, signal }), { stage, doing });
    const staged = await stage.finish();
    const layer: Descriptor = { mediaType: layerTypes[compression], digest: staged.digest, size: staged.size };
    const descriptor = await putImage(store, { layer, diffId, platform, config, adopt: () => store.adopt(staged) });
    await store.setReference(reference, descriptor);
    return { names: reference === null ? [] : [reference], descriptor };
  } catch (error) {
    throw error instanceof LayerProblem ? layerError(doing, error) : error;
  } finally {
    await stage.abort();
  }
}

async function putImage(
  store: Store,
  image: {
    readonly layer: Descriptor;
    readonly diffId: Digest;
    readonly platform: Platform;
    readonly config: ImportOptions["config"];
    readonly adopt: () => Promise<unknown>;
  },
): Promise<Descriptor> {
  const { architecture, os } = image.platform;
  const config: ImageConfig = {
    architecture,
    os,
    ...(image.config === undefined ? {} : { config: image.config }),
    rootfs: { type: "layers", diff_ids: [image.diffId] },
  };
  const configBytes = Buffer.from(JSON.stringify(config));
  const configDescriptor: Descriptor = { mediaType: mediaTypes.ociConfig, digest: digestOf(configBytes), size: configBytes.length };
  const manifest: ImageManifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: configDescriptor, layers: [image.layer] };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const descriptor: Descriptor = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
  await image.adopt();
  await store.putBlob(configDescriptor, configBytes);
  await store.putBlob(descriptor, bytes);
  return descriptor;
}
