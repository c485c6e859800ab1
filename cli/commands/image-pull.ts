import { formatSize } from "../../policy/units.ts";
import { parsePlatform } from "../image/platform.ts";
import { type PullEvent, type PullProgress, pullImage } from "../image/pull.ts";
import { formatReference, parseReference } from "../image/reference.ts";
import { warningText } from "../output/human.ts";
import { writeStderr } from "../output/streams.ts";
import { printable } from "../output/terminal.ts";
import { type ImageOptions, onStore, tell } from "./image-store.ts";

export interface PullArguments extends ImageOptions {
  readonly image: string;
  readonly platform?: string | undefined;
  readonly quiet: boolean;
}

const shortId = (digest: string): string => digest.slice(digest.indexOf(":") + 1).slice(0, 12);

/** One line for what a person may want to know of an event; null for what comes often. */
function lineOf(event: PullEvent): string | null {
  switch (event.kind) {
    case "resolving":
      return `asking ${event.host}`;
    case "started":
      return `layer ${shortId(event.digest)}: ${formatSize(event.size)}${event.offset > 0 ? `, of which ${formatSize(event.offset)} are there` : ""}`;
    case "finished":
      return `layer ${shortId(event.digest)}: ${event.how === "present" ? "is there already" : "done"}`;
    case "waiting":
      return `${event.reason}; trying again in ${Math.ceil(event.delayMs / 1000)} s`;
    case "layers":
    case "progress":
    case "warning":
      return null;
  }
}

const lines: PullProgress = (event) => {
  const line = lineOf(event);
  if (line !== null) writeStderr(`${printable(line)}\n`);
};

/** `belljar image pull` and `belljar pull`. */
export function pullCommand(options: PullArguments): Promise<number> {
  const reference = parseReference(options.image);
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform);
  return onStore(options, async ({ store, config, signal }) => {
    const warnings: string[] = [];
    const progress: PullProgress = (event) => {
      if (event.kind === "warning") warnings.push(event.message);
      if (options.json || options.quiet) return;
      if (event.kind === "warning") writeStderr(warningText(event.message));
      else lines(event);
    };
    // One process at a time: the next one finds everything there.
    const { manifest, name } = await store.exclusively(
      `pull ${formatReference(reference)}`,
      () => pullImage({ reference, store, config, progress, signal, ...(platform === undefined ? {} : { platform }) }),
      signal,
    );
    await tell(options, { name, digest: manifest.digest, warnings }, [`${name} is ${manifest.digest}`]);
    return 0;
  });
}
