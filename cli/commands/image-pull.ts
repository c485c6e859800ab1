import { parsePlatform } from "../image/platform.ts";
import { type PullProgress, pullImage } from "../image/pull.ts";
import { parseReference } from "../image/reference.ts";
import { pullProgress } from "../output/progress.ts";
import { stderrTarget } from "../output/progress-target.ts";
import { type ImageOptions, onStore, tell } from "./image-store.ts";

export interface PullArguments extends ImageOptions {
  readonly image: string;
  readonly platform?: string | undefined;
  readonly quiet: boolean;
}

/** `belljar image pull` and `belljar pull`. */
export function pullCommand(options: PullArguments): Promise<number> {
  const reference = parseReference(options.image);
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform);
  return onStore(options, async ({ store, config, signal }) => {
    const warnings: string[] = [];
    const shown = pullProgress(stderrTarget());
    const progress: PullProgress = (event) => {
      if (event.kind === "warning") warnings.push(event.message);
      // A quiet pull still warns.
      if (!options.json && (!options.quiet || event.kind === "warning")) shown.show(event);
    };
    try {
      // Locks each blob for itself, so no lock may be held around it: they could be the same.
      const { manifest, name } = await pullImage({
        reference,
        store,
        config,
        progress,
        signal,
        ...(platform === undefined ? {} : { platform }),
      });
      shown.end();
      await tell(options, { name, digest: manifest.digest, warnings }, [`${name} is ${manifest.digest}`]);
      return 0;
    } finally {
      shown.end();
    }
  });
}
