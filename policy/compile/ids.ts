import { BelljarError } from "../errors.ts";
import type { ResolvedPolicy } from "../profile/types.ts";
import type { IdMap, SandboxPlan } from "../wire/wire.gen.ts";
import type { HostFacts, IdRange, RunRequest } from "./types.ts";

export type CompiledIds = Pick<
  SandboxPlan,
  "idMode" | "callerMapped" | "denySetgroups" | "uidMaps" | "gidMaps" | "newuidmap" | "newgidmap" | "programUid" | "programGid"
> & {
  /** The id inside under which init runs: where the program has the same one, kernel counters of the user count init too. */
  readonly initUid: number;
  /** The program runs as the caller's own id on the host. */
  readonly programIsCaller: boolean;
};

interface IdInput {
  readonly policy: ResolvedPolicy;
  readonly facts: HostFacts;
  readonly request: RunRequest;
}

/** 2^32-1 is the kernel's "no id". */
const maxId = 0xffff_fffe;

/**
 * The id maps. single: the caller's id alone, under whatever number the program is to see. subordinate: the caller as 0
 * (or, isolated, nobody) and then the ranges of /etc/subuid and /etc/subgid one behind the other (user_namespaces(7), subuid(5)).
 * Throws BelljarError `guard-unavailable` without ranges or helpers, `usage` or `profile-invalid` for an id outside the map.
 */
export function compileIds({ policy, facts, request }: IdInput): CompiledIds {
  const programUid = request.user?.uid ?? policy.user.uid;
  const programGid = request.user?.gid ?? policy.user.gid;
  const asked = request.user === null ? ("profile-invalid" as const) : ("usage" as const);
  for (const [what, id] of [["user", programUid] as const, ["group", programGid] as const])
    if (!Number.isInteger(id) || id < 0 || id > maxId)
      throw new BelljarError(asked, `mapping ids: ${what} id ${id}: must be from 0 to ${maxId}`);
  if (policy.user.mode === "single")
    return {
      idMode: "single",
      callerMapped: true,
      denySetgroups: true, // the kernel's condition for a gid map that no privileged helper writes
      uidMaps: [{ containerId: programUid, hostId: facts.uid, size: 1 }],
      gidMaps: [{ containerId: programGid, hostId: facts.gid, size: 1 }],
      newuidmap: "",
      newgidmap: "",
      programUid,
      programGid,
      initUid: programUid,
      programIsCaller: true,
    };
  const callerMapped = policy.user.map === "caller";
  const { uidMaps, gidMaps, ...helpers } = subordinateMaps(facts, callerMapped);
  requireMapped(uidMaps, { id: programUid, what: "user", code: asked });
  requireMapped(gidMaps, { id: programGid, what: "group", code: asked });
  return {
    idMode: "subordinate",
    callerMapped,
    denySetgroups: false,
    uidMaps,
    gidMaps,
    ...helpers,
    programUid,
    programGid,
    initUid: 0,
    programIsCaller: callerMapped && programUid === 0,
  };
}

/** The maps of mode "subordinate", and who writes them. Throws BelljarError `guard-unavailable` without ranges or helpers. */
export function subordinateMaps(
  facts: Pick<HostFacts, "subordinate" | "uid" | "gid" | "userName" | "freeSubordinateIds">,
  callerMapped = true,
): Pick<CompiledIds, "uidMaps" | "gidMaps" | "newuidmap" | "newgidmap"> {
  return {
    ...requireSubordinate(facts),
    uidMaps: mapRanges(facts.subordinate.uids, callerMapped ? facts.uid : null),
    gidMaps: mapRanges(facts.subordinate.gids, callerMapped ? facts.gid : null),
  };
}

/** The command that gives an account subordinate ids; without a free range the administrator has to find one. */
export function grantCommand(userName: string, free: IdRange | null): string {
  const range = free === null ? "FIRST-LAST" : `${free.start}-${free.start + free.count - 1}`;
  return `usermod --add-subuids ${range} --add-subgids ${range} ${userName}`;
}

function requireSubordinate({
  subordinate,
  userName,
  freeSubordinateIds,
}: Pick<HostFacts, "subordinate" | "userName" | "freeSubordinateIds">): {
  readonly newuidmap: string;
  readonly newgidmap: string;
} {
  const { uids, gids, newuidmap, newgidmap } = subordinate;
  if (newuidmap === null || newgidmap === null)
    throw new BelljarError("guard-unavailable", "mapping ids: 'user.mode': subordinate ids need the programs newuidmap and newgidmap", {
      hint: "install the package 'uidmap' (Debian, Ubuntu) or 'shadow-utils' (Fedora, Arch: 'shadow'), or use \"mode\": \"single\"",
    });
  if (uids.length === 0 || gids.length === 0)
    throw new BelljarError(
      "guard-unavailable",
      `mapping ids: 'user.mode': ${userName} has no range in ${uids.length === 0 ? "/etc/subuid" : "/etc/subgid"}`,
      { hint: `as root: ${grantCommand(userName, freeSubordinateIds)}` },
    );
  return { newuidmap, newgidmap };
}

function mapRanges(ranges: readonly IdRange[], callerId: number | null): readonly IdMap[] {
  const maps: IdMap[] = callerId === null ? [] : [{ containerId: 0, hostId: callerId, size: 1 }];
  let next = maps.length;
  for (const { start, count } of ranges) {
    const size = Math.min(count, maxId - next + 1);
    if (size <= 0) break;
    maps.push({ containerId: next, hostId: start, size });
    next += size;
  }
  return maps;
}

interface Wanted {
  readonly id: number;
  readonly what: "user" | "group";
  readonly code: "usage" | "profile-invalid";
}

function requireMapped(maps: readonly IdMap[], { id, what, code }: Wanted): void {
  if (maps.some(({ containerId, size }) => id >= containerId && id < containerId + size)) return;
  const count = maps.reduce((sum, { size }) => sum + size, 0);
  throw new BelljarError(code, `mapping ids: ${what} id ${id}: the sandbox has only the ids 0 to ${count - 1}`, {
    hint: `choose a smaller id, or give more ${what === "user" ? "/etc/subuid" : "/etc/subgid"} ids to this account`,
  });
}
