import { lstatSync } from "node:fs";
import { join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where everything of a store lies. All of it is on one file system, because whatever is finished arrives by rename. */
export interface StorePaths {
  readonly root: string;
  /** The OCI image layout: oci-layout, index.json, blobs/. */
  readonly images: string;
  readonly index: string;
  /** Unpacked layers. */
  readonly layers: string;
  /** Unfinished blobs that a later attempt continues. */
  readonly partial: string;
  /** One folder for each process that is at work here. */
  readonly sessions: string;
  /** What is being removed. */
  readonly trash: string;
  readonly locks: string;
  /** There while content is being removed. */
  readonly pruning: string;
}

export function storePaths(root: string): StorePaths {
  const images = join(root, "images");
  return {
    root,
    images,
    index: join(images, "index.json"),
    layers: join(root, "layers"),
    partial: join(root, "partial"),
    sessions: join(root, "sessions"),
    trash: join(root, "trash"),
    locks: join(root, "locks"),
    pruning: join(root, "pruning"),
  };
}

/** `$XDG_DATA_HOME/belljar`, else `~/.local/share/belljar`. A relative value counts as unset (XDG Base Directory Specification). */
export function defaultStoreRoot(environment: Environment = process.env): string {
  const { XDG_DATA_HOME: configured, HOME: home } = environment as { readonly XDG_DATA_HOME?: string; readonly HOME?: string };
  if (configured?.startsWith("/")) return join(configured, "belljar");
  if (home?.startsWith("/")) return join(home, ".local/share/belljar");
  throw new BelljarError("store-failed", "opening the image store: neither XDG_DATA_HOME nor HOME names a folder");
}

/** A store that others can write is one into which they can put links. */
export function checkOwnership(root: string): void {
  const status = lstatSync(root);
  const refuse = (reason: string, hint: string): never => {
    throw new BelljarError("store-failed", `opening the image store: ${quoted(root)}: ${reason}`, { hint });
  };
  const uid = process.getuid?.() ?? 0;
  if (!status.isDirectory()) refuse("is no folder", "move it away, or name another place in XDG_DATA_HOME");
  if (status.uid !== uid)
    refuse(`belongs to user ${status.uid}`, "every user has a store of their own: name a place of yours in XDG_DATA_HOME");
  if ((status.mode & 0o022) !== 0) refuse("can be written by others", `chmod go-w ${root}`);
}
