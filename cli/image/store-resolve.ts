import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { isDigest } from "./digest.ts";
import type { StorePaths } from "./layout.ts";
import type { Descriptor, Digest, Reference } from "./oci-types.ts";
import { formatReference, parseReference } from "./reference.ts";
import { readDocument } from "./store-image.ts";
import { listReferences, type StoredReference } from "./store-index.ts";

/** What a text means in the store. */
export interface Resolved {
  /** Of the entry that was found; null for an image without a name. */
  readonly name: string | null;
  readonly descriptor: Descriptor;
  /** By what it was found: a name, or an id. Removing by a name removes that name, by an id all of them. */
  readonly by: "name" | "id";
}

/** Fewer digits are more likely a name. */
const minIdDigits = 6;

function parsed(text: string): Reference | null {
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof BelljarError && error.code === "image-reference") return null;
    throw error;
  }
}

/** A name as it stands, or the full form of what somebody wrote short. With a digest, that must be the image's. */
function byName(list: readonly StoredReference[], text: string): StoredReference | null {
  const exact = list.find((entry) => entry.name === text);
  if (exact !== undefined) return exact;
  const reference = parsed(text);
  if (reference === null) return null;
  const full = formatReference(reference);
  const named = list.find((entry) => entry.name === full);
  if (named !== undefined || reference.digest === null) return named ?? null;
  // "alpine@sha256:…" of an image that was pulled by a tag of the same repository.
  const repository = `${reference.domain}/${reference.path}`;
  const sameRepository = ({ name }: StoredReference): boolean =>
    name?.startsWith(`${repository}:`) === true || name?.startsWith(`${repository}@`) === true;
  return list.find((entry) => entry.descriptor.digest === reference.digest && sameRepository(entry)) ?? null;
}

/** The digest of the configuration is the id that Docker and podman show. */
async function configDigest(paths: StorePaths, descriptor: Descriptor): Promise<Digest | null> {
  try {
    const document = await readDocument(paths, descriptor, "looking for an image");
    return document.kind === "manifest" ? document.manifest.config.digest : null;
  } catch (error) {
    // A damaged image has no id of that kind; its own digest still finds it.
    if (error instanceof BelljarError && ["image-invalid", "not-supported"].includes(error.code)) return null;
    throw error;
  }
}

async function byId(paths: StorePaths, list: readonly StoredReference[], text: string): Promise<StoredReference | null> {
  const hex = text.replace(/^sha256:/, "");
  const isId = isDigest(text) || (/^[0-9a-f]+$/.test(hex) && hex.length >= minIdDigits && hex.length <= 64);
  if (!isId) return null;
  const matches = (digest: Digest | null): boolean => digest !== null && (digest === text || digest.startsWith(`sha256:${hex}`));
  const found: StoredReference[] = [];
  for (const entry of list) {
    const { digest } = entry.descriptor;
    if (matches(digest) || matches(await configDigest(paths, entry.descriptor))) found.push(entry);
  }
  const digests = [...new Set(found.map(({ descriptor }) => descriptor.digest))];
  if (digests.length > 1)
    throw new BelljarError("image-reference", `looking for an image: ${quoted(text)}: means several: ${digests.join(", ")}`, {
      hint: "write more digits",
    });
  return found[0] ?? null;
}

/**
 * Finds an image by name (full, short, or as another tool wrote it), by digest, or by the first digits of the digest of its
 * manifest or configuration. Null when there is none. Throws BelljarError `image-reference` when it could be several.
 */
export async function findImage(paths: StorePaths, text: string): Promise<Resolved | null> {
  const list = await listReferences(paths);
  const named = byName(list, text);
  if (named !== null) return { ...named, by: "name" };
  const identified = await byId(paths, list, text);
  return identified === null ? null : { ...identified, by: "id" };
}

/** The same for an image that must be there. Throws BelljarError `image-not-found` or `image-reference`. */
export async function resolveImage(paths: StorePaths, text: string): Promise<Resolved> {
  const found = await findImage(paths, text);
  if (found !== null) return found;
  // Neither a reference nor an id: that is what to say first.
  if (!/^(sha256:)?[0-9a-f]+$/.test(text)) parseReference(text);
  throw new BelljarError("image-not-found", `looking for an image: ${quoted(text)}: is not in the store`, {
    hint: "`belljar image ls` lists what is there",
  });
}
