import { subordinateMaps } from "../../policy/compile/ids.ts";
import type { ImageFacts, LayeredRootfsFacts } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import type { Config } from "../host/config.ts";
import type { PlainFacts } from "../host/facts.ts";
import { chooseDriver } from "../host/overlay-driver.ts";
import { applyPath } from "../image/layer/apply-path.ts";
import type { LayerIds } from "../image/layer/ids.ts";
import { leaseKnownImage } from "./known-image.ts";
import { launcherPath } from "./launcher.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What happens before a run on an image can start, for somebody who waits. */
export interface ImageProgress {
  readonly pull?: import("../image/pull-events.ts").PullProgress;
  readonly unpack?: (progress: import("../image/unpack.ts").UnpackProgress) => void;
  /** The wait is over. */
  readonly end?: () => void;
}

export type PullPolicy = "missing" | "always" | "never";

export interface LayeredInput {
  readonly policy: ResolvedPolicy;
  readonly facts: PlainFacts;
  readonly config: Config;
  readonly environment: Environment;
  /** `--user`, else the image's own decides. */
  readonly user: string | null;
  /** Where the upper directory will be; null: on a tmpfs. */
  readonly upper: string | null;
  readonly pull: PullPolicy;
  readonly progress?: ImageProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface LayeredRoot {
  readonly facts: LayeredRootfsFacts;
  readonly warnings: readonly string[];
  /** To be called when the run is over: until then nobody removes the layers. */
  release(): Promise<void>;
}

/** Whose files unpacked ones are: as the sandbox will see them. */
function layerIds(policy: ResolvedPolicy, facts: PlainFacts): LayerIds {
  if (policy.user.mode === "single") return { kind: "single" };
  if (policy.user.map === "isolated")
    throw new BelljarError(
      "profile-invalid",
      'preparing the image: user.map: "isolated" leaves out the caller, to whom the image\'s files belong',
      {
        hint: 'use "map": "caller"',
      },
    );
  return { kind: "subordinate", ...subordinateMaps(facts), unmapped: "squash" };
}

/** A directory that the program may seem to change: one layer, which stays as it is. */
function directoryLayer({ facts }: LayeredInput): { readonly layers: readonly string[]; readonly image: null } {
  if (facts.directoryRootfs === null) throw new BelljarError("internal", "preparing the root: the rootfs directory was not read");
  return { layers: [facts.directoryRootfs.path], image: null };
}

/**
 * Makes the layers of a run ready: the image is pulled when it is not there, unpacked when it is not yet, and held until the run is
 * over. Only for roots of layers (isLayered). Throws BelljarError.
 */
export async function prepareLayers(input: LayeredInput): Promise<LayeredRoot> {
  const { policy, environment } = input;
  const launcher = launcherPath();
  const { warnings, ...driver } = await chooseDriver(policy.rootfs.overlay, { launcher, environment, upper: input.upper });
  const common = { ...driver, apply: applyPath() };
  if (policy.rootfs.kind !== "image") {
    return { facts: { ...common, ...directoryLayer(input) }, warnings, release: async () => undefined };
  }
  const { reference } = policy.rootfs;
  const ids = layerIds(policy, input.facts);
  const known = input.pull === "always" ? null : await leaseKnownImage({ reference, user: input.user, ids });
  if (known !== null) {
    const { lease, facts } = known;
    return { facts: { ...common, layers: lease.paths, image: facts }, warnings, release: lease.release };
  }
  // Everything else of images is loaded only by runs that need it.
  const { openImage } = await import("./image.ts");
  const image = await openImage(reference, { ...input, ids });
  const facts: { readonly layers: readonly string[]; readonly image: ImageFacts } = { layers: image.layers, image: image.facts };
  return { facts: { ...common, ...facts }, warnings: [...warnings, ...image.warnings], release: image.release };
}
