/** Media types of the image specification and their forerunners of Docker's, which most registries still serve. */
export const mediaTypes = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  /** The config of an artifact that has none. */
  empty: "application/vnd.oci.empty.v1+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  layerTar: "application/vnd.oci.image.layer.v1.tar",
  layerTarGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  layerTarZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
} as const;

export type DocumentKind = "index" | "manifest";

const kinds: Readonly<Record<string, DocumentKind>> = {
  [mediaTypes.ociIndex]: "index",
  [mediaTypes.dockerList]: "index",
  [mediaTypes.ociManifest]: "manifest",
  [mediaTypes.dockerManifest]: "manifest",
};

/** What to ask a registry for: every type of a document that `parseDocument` reads. */
export const acceptedMediaTypes: readonly string[] = Object.keys(kinds);

const schema1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+/;

/** Without parameters (`; charset=utf-8`) and in lower case, as RFC 9110 compares them. */
export function bareMediaType(text: string): string {
  return (text.split(";")[0] ?? "").trim().toLowerCase();
}

export const documentKind = (mediaType: string): DocumentKind | null => kinds[bareMediaType(mediaType)] ?? null;
export const isSchema1 = (mediaType: string): boolean => schema1.test(bareMediaType(mediaType));

const configTypes: readonly string[] = [mediaTypes.ociConfig, mediaTypes.dockerConfig];
export const isImageConfig = (mediaType: string): boolean => configTypes.includes(bareMediaType(mediaType));

const layerTypes =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+(?:gzip|zstd))?|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.gzip|\.zstd)?)$/;

/** A file system layer, compressed or not. How it is compressed, its first bytes say better. */
export const isLayer = (mediaType: string): boolean => layerTypes.test(bareMediaType(mediaType));

/** A layer that its publisher keeps elsewhere (`urls`): registries and archives often do not hold it. */
export const isForeignLayer = (mediaType: string): boolean => /nondistributable|\.foreign\./.test(bareMediaType(mediaType));
