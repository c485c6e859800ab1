import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { isDigest } from "./digest.ts";
import {
  documentLimits,
  type JsonObject,
  objectAt,
  optionalText,
  optionalTextMap,
  optionalTexts,
  parseJson,
  refuse,
} from "./manifest-json.ts";
import {
  bareMediaType,
  type DocumentKind,
  documentKind,
  isForeignLayer,
  isImageConfig,
  isLayer,
  isSchema1,
  mediaTypes,
} from "./media-types.ts";
import type { Descriptor, ImageIndex, ImageManifest, Platform } from "./oci-types.ts";

/** How many things an image may name. */
export const manifestLimits = {
  /** More than any kernel stacks; a real image has up to some hundred. */
  maxLayers: 1024,
  /** Platforms and attestations of one index, and images of one layout. */
  maxManifests: 10_000,
  /** Of the index.json of a layout, and of the store's own. */
  maxLayoutIndexBytes: 16 * 1024 * 1024,
  /** An index may name another index. */
  maxIndexDepth: 4,
} as const;

export type ImageDocument =
  | { readonly kind: "index"; readonly mediaType: string; readonly index: ImageIndex }
  | { readonly kind: "manifest"; readonly mediaType: string; readonly manifest: ImageManifest };

function platformAt(what: string, path: string, value: unknown): Platform {
  const object = objectAt(what, path, value);
  const text = (name: string) => optionalText(what, `${path}.${name}`, object[name]);
  const variant = text("variant");
  const version = text("os.version");
  return {
    architecture: text("architecture") ?? "",
    os: text("os") ?? "",
    ...(variant === null ? {} : { variant }),
    ...(version === null ? {} : { "os.version": version }),
  };
}

/** Checks one descriptor and keeps what belljar knows of it. */
export function descriptorAt(what: string, path: string, value: unknown): Descriptor {
  const object = objectAt(what, path, value);
  const { digest, size } = object as { readonly digest?: unknown; readonly size?: unknown };
  const mediaType = optionalText(what, `${path}.mediaType`, object["mediaType"]) ?? "";
  if (!isDigest(digest)) refuse(what, `${path}.digest: is no sha256 or sha512 digest`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) refuse(what, `${path}.size: must be a count of bytes`);
  const urls = optionalTexts(what, `${path}.urls`, object["urls"]);
  const annotations = optionalTextMap(what, `${path}.annotations`, object["annotations"]);
  const artifactType = optionalText(what, `${path}.artifactType`, object["artifactType"]);
  const platform = object["platform"] ?? null;
  return {
    mediaType,
    digest,
    size,
    ...(urls === null ? {} : { urls }),
    ...(annotations === null ? {} : { annotations }),
    ...(platform === null ? {} : { platform: platformAt(what, `${path}.platform`, platform) }),
    ...(artifactType === null ? {} : { artifactType }),
  };
}

function descriptorsAt(what: string, path: string, options: { readonly value: unknown; readonly max: number }): readonly Descriptor[] {
  const { value, max } = options;
  if (!Array.isArray(value)) return refuse(what, `${path}: must be a list`);
  if (value.length > max) refuse(what, `${path}: has more than ${max} entries`);
  return value.map((item, index) => descriptorAt(what, `${path}[${index}]`, item));
}

/** What a document is by its shape; both at once could be read as one thing by us and as another by a scanner. */
function shapeOf(what: string, object: JsonObject): DocumentKind {
  const isIndex = object["manifests"] !== undefined;
  const isManifest = object["layers"] !== undefined || object["config"] !== undefined;
  if (object["schemaVersion"] === 1 || object["fsLayers"] !== undefined) {
    throw new BelljarError("not-supported", `${what}: is a manifest of Docker's schema 1, which has been obsolete since 2017`, {
      hint: "push the image again with a current tool, or convert it: skopeo copy",
    });
  }
  if (isIndex && isManifest) refuse(what, "is both an index and a manifest");
  if (!isIndex && !isManifest) refuse(what, "is neither an index nor a manifest");
  if (object["schemaVersion"] !== 2) refuse(what, "schemaVersion: must be 2");
  return isIndex ? "index" : "manifest";
}

/** Header, field and shape must not contradict each other about index or manifest; unspecific headers say nothing. */
function checkMediaTypes(
  what: string,
  kind: DocumentKind,
  types: { readonly field: string | null; readonly header: string | null },
): string {
  const { field, header } = types;
  if (field !== null && documentKind(field) === null) refuse(what, `mediaType: ${quoted(field)} is no index and no manifest of an image`);
  for (const [where, type] of [
    ["its mediaType", field],
    ["its Content-Type or descriptor", header],
  ] as const) {
    const claimed = type === null ? null : documentKind(type);
    if (claimed !== null && claimed !== kind)
      refuse(what, `is an ${kind} although ${where} says ${claimed}`.replace("an manifest", "a manifest"));
  }
  // Without parameters: it is written into the index of the store, where a stranger's must not take room.
  if (field !== null) return bareMediaType(field);
  if (header !== null && documentKind(header) !== null) return bareMediaType(header);
  return kind === "index" ? mediaTypes.ociIndex : mediaTypes.ociManifest;
}

/**
 * Reads an index or a manifest (image specification 1.1, and Docker's schema 2). Its shape decides which it is;
 * `mediaType` is what a descriptor or the header Content-Type said, if anything.
 * Throws BelljarError `image-invalid` for what is malformed, `not-supported` for schema 1.
 */
export function parseDocument(
  bytes: Uint8Array,
  options: { readonly what: string; readonly mediaType?: string | null; readonly maxBytes?: number },
): ImageDocument {
  const { what, mediaType: header = null, maxBytes = documentLimits.maxBytes } = options;
  if (header !== null && isSchema1(header)) shapeOf(what, { schemaVersion: 1 });
  const object = objectAt(what, "the document", parseJson(bytes, what, { maxBytes }));
  const kind = shapeOf(what, object);
  const field = optionalText(what, "mediaType", object["mediaType"]) || null;
  const mediaType = checkMediaTypes(what, kind, { field, header });
  const annotations = optionalTextMap(what, "annotations", object["annotations"]);
  const common = { schemaVersion: 2, mediaType, ...(annotations === null ? {} : { annotations }) } as const;
  if (kind === "index") {
    const manifests = descriptorsAt(what, "manifests", { value: object["manifests"], max: manifestLimits.maxManifests });
    return { kind, mediaType, index: { ...common, manifests } };
  }
  const config = descriptorAt(what, "config", object["config"]);
  const layers = descriptorsAt(what, "layers", { value: object["layers"] ?? [], max: manifestLimits.maxLayers });
  return { kind, mediaType, manifest: { ...common, config, layers } };
}

/** The manifest of one image; an index is refused. */
export function parseManifest(bytes: Uint8Array, options: { readonly what: string; readonly mediaType?: string | null }): ImageManifest {
  const document = parseDocument(bytes, options);
  return document.kind === "manifest" ? document.manifest : refuse(options.what, "is an index of several images, not the manifest of one");
}

/** Refuses a manifest that describes something else than a root file system: an artifact, a signature, a chart. */
export function checkRunnable(manifest: ImageManifest, what: string): void {
  const { mediaType } = manifest.config;
  if (!isImageConfig(mediaType)) refuse(what, `is not a runnable image but an artifact (config of type ${quoted(mediaType)})`);
  for (const [index, layer] of manifest.layers.entries()) {
    if (!isLayer(layer.mediaType)) refuse(what, `layers[${index}]: ${quoted(layer.mediaType)} is no file system layer`);
  }
}

/** Words for a blob that an image names and that is not where it should be. */
export function missingBlob(descriptor: Descriptor, what: string, options: { readonly hint?: string } = {}): BelljarError {
  const foreign = isForeignLayer(descriptor.mediaType) || (descriptor.urls?.length ?? 0) > 0;
  const reason = foreign ? "is a foreign layer, which its publisher keeps elsewhere; belljar does not fetch it" : "is missing";
  return new BelljarError("image-invalid", `${what}: blob ${quoted(descriptor.digest)}: ${reason}`, options);
}
