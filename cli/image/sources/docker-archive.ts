import { BelljarError } from "../../../policy/errors.ts";
import { quoted } from "../../output/terminal.ts";
import { digestOf } from "../digest.ts";
import { sniffCompression } from "../layer/decompress.ts";
import { LayerProblem, layerError } from "../layer/problem.ts";
import { manifestLimits } from "../manifest.ts";
import { checkLayers, parseConfig } from "../manifest-config.ts";
import { documentLimits, isObject, optionalText, optionalTexts, parseJson, refuse } from "../manifest-json.ts";
import { mediaTypes } from "../media-types.ts";
import type { Descriptor, ImageManifest } from "../oci-types.ts";
import type { Store } from "../store.ts";
import type { Staged } from "../store-stage.ts";
import { type Archive, frontOf } from "./archive.ts";
import type { PlannedImage, SourceOptions, SourcePlan } from "./plan.ts";

/** An image of `manifest.json`, as `docker save` writes it. */
interface DockerImage {
  readonly config: string;
  readonly names: readonly string[];
  readonly layers: readonly string[];
}

const manifestName = "manifest.json";
const maxImages = 1000;
const layerTypes = { none: mediaTypes.layerTar, gzip: mediaTypes.layerTarGzip, zstd: mediaTypes.layerTarZstd } as const;

function readImages(bytes: Buffer, doing: string): readonly DockerImage[] {
  const what = `${doing}: ${quoted(manifestName)}`;
  const list = parseJson(bytes, what);
  if (!Array.isArray(list)) return refuse(what, "must be a list");
  if (list.length > maxImages) refuse(what, `has more than ${maxImages} images`);
  return list.map((item: unknown, index): DockerImage => {
    if (!isObject(item)) return refuse(what, `[${index}]: must be an object`);
    const config = optionalText(what, `[${index}].Config`, item["Config"]);
    const layers = optionalTexts(what, `[${index}].Layers`, item["Layers"]) ?? [];
    if (layers.length > manifestLimits.maxLayers) refuse(what, `[${index}].Layers: has more than ${manifestLimits.maxLayers} entries`);
    return {
      config: config ?? refuse(what, `[${index}].Config: must be a string`),
      names: optionalTexts(what, `[${index}].RepoTags`, item["RepoTags"]) ?? [],
      layers,
    };
  });
}

const fileOf = (archive: Archive, name: string, what: string): Staged =>
  archive.find(name) ?? refuse(what, `the archive has no file ${quoted(name)}`);

/** The name of a configuration usually is its digest; then it must be. */
function checkConfigName(name: string, bytes: Buffer, what: string): void {
  const hex = /(?:^|[/:])([0-9a-f]{64})(?:\.json)?$/.exec(name)?.[1];
  const found = digestOf(bytes);
  if (hex !== undefined && found !== `sha256:${hex}`) refuse(what, `configuration ${quoted(name)}: has the wrong digest (${found})`);
}

async function layerOf(staged: Staged, options: { readonly what: string; readonly diffId: string | undefined }): Promise<Descriptor> {
  const { what, diffId } = options;
  try {
    const compression = sniffCompression(await frontOf(staged));
    // One that is not compressed has its diff_id for a digest; of the others, unpacking tells.
    if (compression === "none" && diffId?.startsWith("sha256:") && staged.digest !== diffId)
      refuse(what, `has the wrong diff_id (${staged.digest} instead of ${diffId})`);
    return { mediaType: layerTypes[compression], digest: staged.digest, size: staged.size };
  } catch (error) {
    throw error instanceof LayerProblem ? layerError(what, error) : error;
  }
}

async function planImage(
  store: Store,
  archive: Archive,
  options: { readonly image: DockerImage; readonly what: string; readonly taken: Set<Staged> },
): Promise<PlannedImage> {
  const { image, what, taken } = options;
  const configFile = fileOf(archive, image.config, what);
  const configBytes = (await archive.read(image.config, documentLimits.maxBytes)) ?? refuse(what, "has no configuration");
  checkConfigName(image.config, configBytes, what);
  const config = parseConfig(configBytes, `${what}: its configuration`);
  const files = image.layers.map((name) => fileOf(archive, name, what));
  const layers: Descriptor[] = [];
  for (const [index, file] of files.entries()) {
    const diffId = config.rootfs.diff_ids[index];
    layers.push(await layerOf(file, { what: `${what}: layer ${quoted(image.layers[index] ?? "")}`, diffId }));
  }
  const manifest: ImageManifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: digestOf(configBytes), size: configBytes.length },
    layers,
  };
  checkLayers(manifest, config, what);
  const bytes = Buffer.from(JSON.stringify(manifest));
  const descriptor: Descriptor = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
  const take = async (): Promise<void> => {
    for (const file of [configFile, ...files]) {
      if (taken.has(file)) continue;
      taken.add(file);
      await store.adopt(file);
    }
    await store.putBlob(descriptor, bytes);
  };
  return { names: image.names, descriptor, manifest, config, take };
}

/**
 * Finds and checks every image of an archive of `docker save` (or of skopeo, podman, kaniko, ko, bazel). Nothing is changed.
 * The images get manifests of the image specification, with layers and configuration as they are. Throws `image-invalid`.
 */
export async function planDockerArchive(store: Store, archive: Archive, { doing }: SourceOptions): Promise<SourcePlan> {
  const bytes = await archive.read(manifestName, documentLimits.maxBytes);
  if (bytes === null) return refuse(doing, `has no file ${quoted(manifestName)}`);
  const images: PlannedImage[] = [];
  // Images share layers, and one may have a layer twice.
  const taken = new Set<Staged>();
  for (const image of readImages(bytes, doing)) {
    const what = `${doing}: image ${quoted(image.names[0] ?? image.config)}`;
    images.push(await planImage(store, archive, { image, what, taken }));
  }
  if (images.length === 0) throw new BelljarError("image-not-found", `${doing}: holds no image`);
  return { images, warnings: [] };
}

/** What an archive is by its files; `docker save` of today writes both forms at once. */
export function archiveKind(archive: Archive): "oci" | "docker" | "docker-old" | null {
  if (archive.find("index.json") !== null && archive.find("oci-layout") !== null) return "oci";
  if (archive.find(manifestName) !== null) return "docker";
  return archive.find("repositories") !== null ? "docker-old" : null;
}
