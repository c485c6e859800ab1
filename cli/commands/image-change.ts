import { BelljarError } from "../../policy/errors.ts";
import { formatSize } from "../../policy/units.ts";
import { formatReference, parseReference } from "../image/reference.ts";
import type { Store } from "../image/store.ts";
import type { StoredReference } from "../image/store-index.ts";
import type { Pruned } from "../image/store-prune.ts";
import { printable, quoted } from "../output/terminal.ts";
import { type ImageOptions, onStore, tell, warn } from "./image-store.ts";

/** How long `rm` waits for others before it leaves the content to a later `prune`. */
const rmWaitMs = 2000;

/** `belljar image tag`. */
export function tagCommand(options: ImageOptions & { readonly image: string; readonly name: string }): Promise<number> {
  const reference = parseReference(options.name);
  if (reference.digest !== null)
    throw new BelljarError("usage", `reading options: ${quoted(options.name)}: a new name has no digest`, {
      hint: "leave out what follows the @",
    });
  const name = formatReference(reference);
  return onStore(options, async ({ store, signal }) => {
    await store.hold(signal);
    const { descriptor } = await store.resolve(options.image);
    // Read first: a name must not be given to something damaged.
    await store.readImage(descriptor, `naming ${quoted(options.image)}`);
    await store.setReference(name, descriptor);
    await tell(options, { name, digest: descriptor.digest }, [`${name} is now ${descriptor.digest}`]);
    return 0;
  });
}

/** The entries that a word means: one name, or all names of an id. */
async function entriesToRemove(store: Store, text: string, force: boolean): Promise<readonly StoredReference[]> {
  const { name, descriptor, by } = await store.resolve(text);
  if (by === "name") return [{ name, descriptor }];
  const entries = (await store.list()).filter((entry) => entry.descriptor.digest === descriptor.digest);
  if (entries.length > 1 && !force)
    throw new BelljarError(
      "usage",
      `removing ${quoted(text)}: has ${entries.length} names: ${entries.map((entry) => entry.name).join(", ")}`,
      {
        hint: "name one of them, or remove all of them with --force",
      },
    );
  return entries;
}

const isAmong = (entries: readonly StoredReference[]) => (one: StoredReference) =>
  entries.some(({ name, descriptor }) => name === one.name && descriptor.digest === one.descriptor.digest);

/** Removes what the names held, unless others are at work: their names are gone already, and the rest can wait. */
async function pruneAfter(store: Store): Promise<{ readonly pruned: Pruned | null; readonly warnings: readonly string[] }> {
  try {
    const pruned = await store.prune({ waitMs: rmWaitMs, partial: false });
    return { pruned, warnings: prunedWarnings(pruned) };
  } catch (error) {
    if (!(error instanceof BelljarError) || error.code !== "store-failed") throw error;
    return { pruned: null, warnings: [`the content stays until \`belljar image prune\`: ${error.message}`] };
  }
}

/** `belljar image rm`. All words are looked up before anything is removed. */
export function removeCommand(options: ImageOptions & { readonly images: readonly string[]; readonly force: boolean }): Promise<number> {
  return onStore(options, async ({ store }) => {
    const entries: StoredReference[] = [];
    for (const text of options.images) entries.push(...(await entriesToRemove(store, text, options.force)));
    const removed = await store.removeReferences(isAmong(entries));
    const { pruned, warnings } = await pruneAfter(store);
    warn(options, warnings);
    const lines = removed.map(({ name, descriptor }) => printable(`removed ${name ?? descriptor.digest}`));
    const images = removed.map(({ name, descriptor }) => ({ name, digest: descriptor.digest }));
    await tell(options, { removed: images, freedBytes: pruned?.freedBytes ?? null, warnings }, [
      ...lines,
      ...(pruned === null ? [] : [summary(pruned)]),
    ]);
    return 0;
  });
}

const count = (many: number, one: string): string => `${many} ${one}${many === 1 ? "" : "s"}`;

/** "removed 3 blobs and 2 unpacked layers, 12 MiB freed". */
function summary({ blobs, layers, partialBlobs, freedBytes }: Pruned): string {
  const things = [
    [blobs.length, "blob"],
    [layers.length, "unpacked layer"],
    [partialBlobs, "unfinished blob"],
  ] as const;
  const words = things.filter(([many]) => many > 0).map(([many, one]) => count(many, one));
  return words.length === 0 ? "nothing else was to remove" : `removed ${words.join(", ")}; ${formatSize(freedBytes)} of blobs freed`;
}

function prunedWarnings({ inUse, problems }: Pruned): readonly string[] {
  const used = inUse.length === 0 ? [] : [`${count(inUse.length, "unpacked layer")} stay: a running sandbox uses them`];
  return [...used, ...problems.map((problem) => `something could not be removed, and is tried again next time: ${problem}`)];
}

/** `belljar image prune`. */
export function pruneCommand(options: ImageOptions & { readonly all: boolean }): Promise<number> {
  return onStore(options, async ({ store }) => {
    const pruned = await store.prune({ untagged: options.all });
    const warnings = prunedWarnings(pruned);
    warn(options, warnings);
    const images = pruned.images.map((digest) => `removed image ${digest}, which had no name`);
    const left =
      pruned.deadSessions === 0
        ? []
        : [`removed what ${count(pruned.deadSessions, "dead process").replace("processs", "processes")} had left`];
    await tell(options, { ...pruned }, [...images, ...left, summary(pruned)]);
    return pruned.problems.length === 0 ? 0 : 1;
  });
}

/** `belljar image verify`: status 1 when something is wrong. */
export function verifyCommand(options: ImageOptions): Promise<number> {
  return onStore(options, async ({ store, signal }) => {
    await store.hold(signal);
    const { images, blobs, layers, bytes, problems } = await store.verify();
    const seen = `${count(images, "image")}, ${count(blobs, "blob")} (${formatSize(bytes)}), ${count(layers, "unpacked layer")}`;
    const lines = problems.map(({ where, problem }) => printable(`${where}: ${problem}`));
    await tell(options, { images, blobs, layers, bytes, problems }, [
      ...lines,
      `${seen}: ${problems.length === 0 ? "all is well" : count(problems.length, "problem")}`,
    ]);
    return problems.length === 0 ? 0 : 1;
  });
}
