import { isLayered } from "../../policy/compile/rootfs.ts";
import type { CgroupFacts, HostFacts } from "../../policy/compile/types.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import type { AuditPurpose } from "../../policy/seccomp/audit-types.ts";
import type { Config } from "../host/config.ts";
import { type PlainFacts, probeCgroup, probePlainFacts, wantedControllers } from "../host/facts.ts";
import type { ScratchFolder } from "../host/scratch-folder.ts";
import { type Filters, filtersFor } from "./filters.ts";
import type { SandboxInput } from "./input.ts";
import type { ImageProgress, LayeredRoot } from "./layered.ts";
import type { ResolvedOnce } from "./profile-cache.ts";

export interface RootContext {
  /** Shown while an image is pulled and unpacked. */
  readonly progress?: ImageProgress;
  /** Ends the wait for an image. */
  readonly signal?: AbortSignal;
  readonly config: Config;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Which calls are heard, whatever the profile says. */
  readonly purpose?: AuditPurpose;
}

/** What every run of one sandbox has in common, found or made once. */
export interface Root {
  /** Facts of the host for a policy that differs from the sandbox's in its limits only. */
  factsFor(policy: ResolvedPolicy): HostFacts;
  /** The same but for where a cgroup can be made: what is asked for that may move this process. */
  readonly plainFacts: PlainFacts;
  /** Filters for the same: of the limits they depend on cpuset, which the base filter holds. */
  filtersFor(policy: ResolvedPolicy): Promise<Filters>;
  readonly config: Config;
  readonly layered: LayeredRoot | null;
  /** A folder for one run, which removes it; null where the writable places are in memory. */
  takeScratch(): Promise<ScratchFolder | null>;
  /** Lets go of what the runs needed to stay as it was. */
  release(): Promise<void>;
}

const controllersOf = (policy: ResolvedPolicy): string => wantedControllers(policy).join(" ");

/** Probes the host, makes the filters and, where there are layers, the image ready. Throws BelljarError. */
export async function openRoot(
  { profile, keep }: ResolvedOnce,
  { user, pull }: Pick<SandboxInput, "user" | "pull">,
  context: RootContext,
): Promise<Root> {
  const { policy, filterKey } = profile;
  const { config, environment, progress, signal, purpose } = context;
  const host = probePlainFacts({ policy, environment });
  const cgroups = new Map<string, CgroupFacts>();
  const factsFor = (other: ResolvedPolicy): HostFacts => {
    const key = controllersOf(other);
    const cgroup = cgroups.get(key) ?? probeCgroup({ policy: other, config });
    cgroups.set(key, cgroup);
    return { ...host, cgroup };
  };
  // First of all, since they may be refused: an image changes nothing that filters depend on, nor do limits but one. What is heard on purpose is another filter than the profile's own.
  const filters = await filtersFor(policy, { arch: host.arch, purpose, knownKey: purpose === undefined ? filterKey : null });
  if (filters.key !== null && purpose === undefined) keep(filters.key);
  const isPinned = ({ limits }: ResolvedPolicy): boolean => limits.cpuset !== null;
  const known = new Map([[isPinned(policy), filters]]);
  const filtersOf = async (other: ResolvedPolicy): Promise<Filters> => {
    const found = known.get(isPinned(other)) ?? (await filtersFor(other, { arch: host.arch, purpose }));
    known.set(isPinned(other), found);
    return found;
  };
  // Most runs need neither scratch folders nor layers, and none of their code.
  const makeScratch = async (): Promise<ScratchFolder | null> => {
    if (policy.scratch.storage !== "disk") return null;
    const { makeScratchFolder } = await import("../host/scratch-folder.ts");
    return makeScratchFolder(environment, host);
  };
  // The first is made now, for the overlay driver is chosen by trying it there.
  let first = await makeScratch();
  let layered: LayeredRoot | null = null;
  const release = async (): Promise<void> => {
    await layered?.release();
    await first?.remove();
  };
  try {
    if (isLayered(policy)) {
      const { prepareLayers } = await import("./layered.ts");
      layered = await prepareLayers({ user, pull, upper: first?.path ?? null, policy, facts: host, config, environment, progress, signal });
    }
    return {
      factsFor,
      plainFacts: host,
      filtersFor: filtersOf,
      config,
      layered,
      takeScratch: async () => {
        const made = first;
        first = null;
        return made ?? (await makeScratch());
      },
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}
