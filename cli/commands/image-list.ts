import { BelljarError } from "../../policy/errors.ts";
import { formatSize } from "../../policy/units.ts";
import type { Descriptor, Digest } from "../image/oci-types.ts";
import { configPlatform, formatPlatform } from "../image/platform.ts";
import { familiarReference, parseReference } from "../image/reference.ts";
import type { Store } from "../image/store.ts";
import type { StoredImage } from "../image/store-image.ts";
import type { StoredReference } from "../image/store-index.ts";
import { listLayers } from "../image/store-layers.ts";
import { writeStdout } from "../output/streams.ts";
import { table } from "../output/table.ts";
import { quoted } from "../output/terminal.ts";
import { type ImageOptions, onStore, tell } from "./image-store.ts";

interface ListedImage {
  readonly name: string | null;
  /** Of the manifest. */
  readonly digest: Digest;
  readonly platform: string | null;
  /** ISO 8601, as the image says; null when it says nothing that is a time. */
  readonly created: string | null;
  /** Bytes in the store: manifest, configuration and layers, shared ones counted too. */
  readonly size: number | null;
  readonly layers: number | null;
  /** Why the rest is null. */
  readonly error: string | null;
}

/** Text of a stranger: only a time of our own spelling comes out. */
function timeOf(created: string | undefined): string | null {
  const time = created === undefined ? Number.NaN : Date.parse(created);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}

const sizeOf = ({ descriptor, manifest }: StoredImage): number =>
  [descriptor, manifest.config, ...manifest.layers].reduce((total, { size }) => total + size, 0);

function platformOf({ config }: StoredImage): string | null {
  const platform = configPlatform(config);
  return platform === null ? null : formatPlatform(platform);
}

async function listed(store: Store, { name, descriptor }: StoredReference): Promise<ListedImage> {
  const { digest } = descriptor;
  try {
    const image = await store.readImage(descriptor, `reading ${quoted(name ?? digest)}`);
    const { manifest, config } = image;
    const common = { name, digest, platform: platformOf(image), created: timeOf(config.created), size: sizeOf(image) };
    return { ...common, layers: manifest.layers.length, error: null };
  } catch (error) {
    // One damaged image must not hide the others.
    if (!(error instanceof BelljarError)) throw error;
    return { name, digest, platform: null, created: null, size: null, layers: null, error: error.message };
  }
}

/** The short form, where the name is a reference. */
function shownName(name: string | null): string {
  if (name === null) return "-";
  try {
    return familiarReference(parseReference(name));
  } catch {
    return name;
  }
}

const shortId = (digest: Digest): string => digest.slice(digest.indexOf(":") + 1).slice(0, 12);

/** `belljar image ls`. */
export function listCommand(options: ImageOptions): Promise<number> {
  return onStore(options, async ({ store }) => {
    const images: ListedImage[] = [];
    for (const entry of await store.list()) images.push(await listed(store, entry));
    if (options.json) await tell(options, { images }, []);
    else {
      const rows = images.map(({ name, digest, platform, created, size, error }) => [
        shownName(name),
        shortId(digest),
        error === null ? (platform ?? "-") : "damaged",
        created?.slice(0, 10) ?? "-",
        size === null ? "-" : formatSize(size),
      ]);
      await writeStdout(table([["NAME", "ID", "PLATFORM", "CREATED", "SIZE"], ...rows]));
    }
    return 0;
  });
}

const blobFacts = ({ mediaType, digest, size }: Descriptor): object => ({ mediaType, digest, size });

/** `belljar image inspect`: always JSON. */
export function inspectCommand(options: ImageOptions & { readonly image: string }): Promise<number> {
  return onStore(options, async ({ store }) => {
    const { descriptor } = await store.resolve(options.image);
    const image = await store.readImage(descriptor, `reading ${quoted(options.image)}`);
    const { manifest, config, chainIds } = image;
    const names = (await store.list()).flatMap(({ name, descriptor: { digest } }) =>
      digest === descriptor.digest && name !== null ? [name] : [],
    );
    const unpacked = await listLayers(store.paths);
    const layers = manifest.layers.map((layer, index) => ({
      ...blobFacts(layer),
      diffId: config.rootfs.diff_ids[index],
      chainId: chainIds[index],
      unpacked: unpacked.filter(({ chainId }) => chainId === chainIds[index]).map(({ world }) => world),
    }));
    const facts = {
      names,
      manifest: { ...blobFacts(descriptor), ...(manifest.annotations === undefined ? {} : { annotations: manifest.annotations }) },
      configuration: blobFacts(manifest.config),
      platform: platformOf(image),
      created: timeOf(config.created),
      size: sizeOf(image),
      layers,
      config: config.config ?? {},
    };
    await tell({ ...options, json: true }, facts, []);
    return 0;
  });
}
