import { splitDigest } from "../digest.ts";
import { bareMediaType, mediaTypes } from "../media-types.ts";
import type { Descriptor, ImageIndex } from "../oci-types.ts";
import type { Store } from "../store.ts";
import type { StoredImage } from "../store-image.ts";
import { refNameAnnotation } from "../store-index.ts";
import type { TarFile } from "./tar-writer.ts";

export interface SavedImage {
  /** Full references; may be none. */
  readonly names: readonly string[];
  readonly image: StoredImage;
}

type Format = (store: Store, images: readonly SavedImage[]) => readonly TarFile[];

const textFile = (name: string, text: string): TarFile => {
  const content = Buffer.from(text);
  return { name, size: content.length, content };
};
const folder = (name: string): TarFile => ({ name, size: 0, content: Buffer.alloc(0) });
/** A blob of the store, verified while it is copied. */
const blobFile = (store: Store, name: string, descriptor: Descriptor): TarFile => ({
  name,
  size: descriptor.size,
  content: () => store.readBlob(descriptor),
});

/** Each digest once, in the order of the images. */
function blobsOf(images: readonly SavedImage[]): readonly Descriptor[] {
  const blobs = images.flatMap(({ image }) => [image.descriptor, image.manifest.config, ...image.manifest.layers]);
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}

/** An OCI image layout in an archive (image specification, image-layout.md), with the names where skopeo, podman and containerd look. */
const ociArchive: Format = (store, images) => {
  const blobs = blobsOf(images);
  const algorithms = [...new Set(blobs.map(({ digest }) => splitDigest(digest).algorithm))];
  const manifests = images.flatMap(({ names, image }): Descriptor[] => {
    const { mediaType, digest, size } = image.descriptor;
    const descriptor = { mediaType: mediaType || mediaTypes.ociManifest, digest, size };
    if (names.length === 0) return [descriptor];
    return names.map((name) => ({ ...descriptor, annotations: { [refNameAnnotation]: name, "io.containerd.image.name": name } }));
  });
  const index: ImageIndex = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  return [
    textFile("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
    folder("blobs/"),
    ...algorithms.map((algorithm) => folder(`blobs/${algorithm}/`)),
    ...blobs.map((blob) => {
      const { algorithm, hex } = splitDigest(blob.digest);
      return blobFile(store, `blobs/${algorithm}/${hex}`, blob);
    }),
    textFile("index.json", JSON.stringify(index)),
  ];
};

/** As tools name them that keep layers compressed in such an archive (ko, crane): all readers look at the content. */
function layerName({ mediaType, digest }: Descriptor): string {
  const bare = bareMediaType(mediaType);
  const ending = bare.endsWith("gzip") ? ".gz" : bare.endsWith("zstd") ? ".zst" : "";
  return `${splitDigest(digest).hex}.tar${ending}`;
}

const configName = ({ digest }: Descriptor): string => `${splitDigest(digest).hex}.json`;

/** The form of `docker save` since Docker 1.10: manifest.json, configurations, layers. */
const dockerArchive: Format = (store, images) => {
  const blobs = new Map<string, Descriptor>();
  const list = images.map(({ names, image }) => {
    const { config, layers } = image.manifest;
    blobs.set(configName(config), config);
    for (const layer of layers) blobs.set(layerName(layer), layer);
    // A name with a digest is no tag, which is all that this form knows.
    return { Config: configName(config), RepoTags: names.filter((name) => !name.includes("@")), Layers: layers.map(layerName) };
  });
  return [...[...blobs].map(([name, blob]) => blobFile(store, name, blob)), textFile("manifest.json", JSON.stringify(list))];
};

export const archiveFormats = { "oci-archive": ociArchive, "docker-archive": dockerArchive } as const satisfies Readonly<
  Record<string, Format>
>;
export type ArchiveFormat = keyof typeof archiveFormats;
