import { join } from "node:path";
import type { ImageConfig, ImageFacts } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import { readAccounts } from "../image/accounts.ts";
import { idWorld, type LayerIds } from "../image/layer/ids.ts";
import { unsettledSince } from "../image/layer-place.ts";
import type { ImageConfig as OciConfig } from "../image/oci-types.ts";
import { parseReference } from "../image/reference.ts";
import { type Lease, openStore, type Store } from "../image/store.ts";
import type { StoredImage } from "../image/store-image.ts";
import { layerName } from "../image/store-layers.ts";
import { quoted } from "../output/terminal.ts";
import { imageUser } from "./image-user.ts";
import { indexStamp, isDue, keepImage } from "./known-image.ts";
import type { LayeredInput } from "./layered.ts";

export interface OpenedImage {
  /** Host paths, lowest first. */
  readonly layers: readonly string[];
  readonly facts: ImageFacts;
  readonly warnings: readonly string[];
  release(): Promise<void>;
}

interface ImageInput extends LayeredInput {
  readonly ids: LayerIds;
}

function configFacts({ config = {} }: OciConfig): ImageConfig {
  return {
    entrypoint: config.Entrypoint ?? [],
    command: config.Cmd ?? [],
    env: config.Env ?? [],
    workdir: config.WorkingDir ?? "",
    stopSignal: config.StopSignal ?? "",
  };
}

interface Found {
  readonly name: string;
  /** As the store's index was, or before. */
  readonly index: string | null;
  readonly image: StoredImage;
}

async function pull(store: Store, reference: string, { config, environment, progress, signal }: ImageInput): Promise<void> {
  const { pullImage } = await import("../image/pull.ts");
  try {
    await pullImage({
      reference: parseReference(reference),
      store,
      config,
      environment,
      progress: (event) => progress?.pull?.(event),
      ...(signal === undefined ? {} : { signal }),
    });
  } finally {
    progress?.end?.();
  }
}

/** The image of the store, pulled before where it is missing or where that was asked for. */
async function find(store: Store, reference: string, input: ImageInput): Promise<Found> {
  let index = indexStamp();
  let found = input.pull === "always" ? null : await store.find(reference);
  if (found === null && input.pull !== "never") {
    await pull(store, reference, input);
    index = indexStamp();
    found = await store.find(reference);
  }
  if (found === null) {
    parseReference(reference); // what is no reference at all, is told as that
    throw new BelljarError("image-not-found", `preparing the image: ${quoted(reference)}: is not in the store`, {
      hint: "`belljar image ls` lists what is there; leave out --pull never to have it pulled",
    });
  }
  const { descriptor } = found;
  const { digest } = descriptor;
  const name = found.name === null ? digest : found.name.includes("@") ? found.name : `${found.name}@${digest}`;
  return { name, index, image: await store.readImage(descriptor, `reading image ${quoted(reference)}`) };
}

/** Layers that are there are pinned at once; else they are unpacked while nothing can be removed, and pinned before that ends. */
async function leaseLayers(
  store: Store,
  { name, image }: Found,
  input: ImageInput,
): Promise<{ readonly lease: Lease; readonly warnings: readonly string[] }> {
  const { ids, progress, signal } = input;
  const world = idWorld(ids);
  const lease = await store.lease(image.chainIds, world);
  if (lease !== null) return { lease, warnings: [] };
  const { unpackImage } = await import("../image/unpack.ts");
  try {
    await store.hold(signal);
    const { warnings } = await unpackImage({ store, name, ...image, ids, signal, progress: (event) => progress?.unpack?.(event) });
    const fresh = await store.lease(image.chainIds, world);
    if (fresh === null)
      throw new BelljarError("store-failed", `preparing the image: ${quoted(name)}: its layers were removed while they were unpacked`);
    return { lease: fresh, warnings };
  } finally {
    progress?.end?.();
  }
}

/** The image's own files are looked into only where somebody is named. */
async function userOf(found: Found, lease: Lease, { user, ids }: ImageInput): Promise<ImageFacts["user"]> {
  const asked = found.image.config.config?.User ?? "";
  const text = user ?? asked;
  if (text === "") return null;
  const what = user === null ? `reading image ${quoted(found.name)}: its user` : "reading options: '--user'";
  const accounts = await readAccounts(lease.paths, ids);
  return imageUser({ text, what, code: user === null ? "image-invalid" : "usage" }, accounts);
}

/** Throws BelljarError: what pulling, reading, unpacking and the image's own user lead to. */
export async function openImage(reference: string, input: ImageInput): Promise<OpenedImage> {
  const store = await openStore();
  let lease: Lease | null = null;
  try {
    const found = await find(store, reference, input);
    const leased = await leaseLayers(store, found, input);
    lease = leased.lease;
    const facts = { name: found.name, config: configFacts(found.image.config), user: await userOf(found, lease, input) };
    const layers = found.image.chainIds.map((id) => layerName(id, idWorld(input.ids)));
    const since = unsettledSince(layers.map((name) => join(store.paths.root, name)));
    keepImage({ reference, user: input.user, ids: input.ids }, found.index, { layers, facts, unsettledSince: since });
    // Beside the program. When it fails the layers stay as they are, good for this boot, and a later run tries again.
    const settling = isDue(since) ? store.settleLayers().catch(() => undefined) : null;
    const { release } = lease;
    return {
      ...{ layers: lease.paths, facts, warnings: leased.warnings },
      release: async () => {
        await settling;
        await release();
      },
    };
  } catch (error) {
    await lease?.release();
    throw error;
  } finally {
    await store.close();
  }
}
