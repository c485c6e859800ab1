/** Limits that cannot be reached because another comes first. They work, though hardly as meant: warnings. */
import { cpusOfList, formatDuration, formatSize } from "../units.ts";
import { formatLimit } from "./limits.ts";
import type { LimitName, ResolvedPolicy } from "./types.ts";

/** Whether somebody asked for a limit; the built-in profiles' own are nobody's wish. */
type Asked = (name: LimitName) => boolean;
type SizeLimit = "memory" | "disk" | "fileSize" | "stack" | "lockedMemory" | "core";

const less = (a: number | null, b: number | null): boolean => a !== null && b !== null && a < b;
const worded = ({ limits }: ResolvedPolicy, name: LimitName): string => `limits.${name} (${formatLimit(name, limits[name])})`;

/** Of two sizes, the one that was asked for is out of reach of the other. */
const sizePairs: readonly {
  readonly first: SizeLimit;
  readonly beyond: SizeLimit;
  readonly why: string;
  readonly unless?: (policy: ResolvedPolicy) => boolean;
}[] = [
  {
    first: "memory",
    beyond: "disk",
    why: "files in a memory scratch count as memory, so the memory limit comes first",
    unless: ({ scratch }) => scratch.storage !== "memory",
  },
  { first: "memory", beyond: "stack", why: "deep recursion meets the memory limit first" },
  { first: "memory", beyond: "lockedMemory", why: "locking that much meets the memory limit first" },
  { first: "disk", beyond: "fileSize", why: "a file fills the scratch space before it is that large", unless: hasWritableVolume },
  { first: "disk", beyond: "core", why: "a core file fills the scratch space before it is that large", unless: hasWritableVolume },
  { first: "fileSize", beyond: "core", why: "a core file is cut to the size that a file may have" },
];

function hasWritableVolume({ mounts }: ResolvedPolicy): boolean {
  return mounts.some((mount) => mount.kind === "bind" && mount.access === "read-write");
}

function sizeWarnings(policy: ResolvedPolicy, asked: Asked): readonly string[] {
  const { limits } = policy;
  return sizePairs
    .filter(({ first, beyond, unless }) => asked(beyond) && less(limits[first], limits[beyond]) && unless?.(policy) !== true)
    .map(({ first, beyond, why }) => `${worded(policy, first)} is less than ${worded(policy, beyond)}: ${why}`);
}

/** CPU time that the wall clock leaves room for. One CPU where nothing says more: most programs use no other. */
function cpuTimeWarnings(policy: ResolvedPolicy, asked: Asked): readonly string[] {
  const { wallTime, cpuTime, cpus, cpuset } = policy.limits;
  if (wallTime === null || cpuTime === null || !(asked("cpuTime") || asked("cpus"))) return [];
  const share = Math.min(cpus ?? 1, cpuset === null ? Number.POSITIVE_INFINITY : cpusOfList(cpuset).length);
  const most = wallTime * share;
  if (most >= cpuTime) return [];
  if (share >= 1)
    return asked("cpuTime")
      ? [`${worded(policy, "wallTime")} is shorter than ${worded(policy, "cpuTime")}: the wall clock stops most programs first`]
      : [];
  return [
    `${worded(policy, "wallTime")} with ${worded(policy, "cpus")} leaves room for ${formatDuration(most)} of CPU time, less than ${worded(policy, "cpuTime")}: the wall clock stops the program first`,
  ];
}

function cpuWarnings(policy: ResolvedPolicy, asked: Asked): readonly string[] {
  const { cpus, cpuset } = policy.limits;
  if (cpus === null || cpuset === null || !(asked("cpus") || asked("cpuset"))) return [];
  const count = cpusOfList(cpuset).length;
  return count < cpus
    ? [`${worded(policy, "cpus")} is more than the ${count === 1 ? "one CPU" : `${count} CPUs`} of ${worded(policy, "cpuset")}`]
    : [];
}

function mountWarnings(policy: ResolvedPolicy): readonly string[] {
  const { memory } = policy.limits;
  return policy.mounts.flatMap((mount) =>
    mount.kind === "tmpfs" && less(memory, mount.sizeBytes)
      ? [
          `${worded(policy, "memory")} is less than the tmpfs on ${mount.target} (${formatSize(mount.sizeBytes)}): its files count as memory`,
        ]
      : [],
  );
}

function fileWarnings(policy: ResolvedPolicy): readonly string[] {
  const { inodes, disk } = policy.limits;
  if (inodes === null || disk !== null || policy.scratch.storage !== "memory") return [];
  return [`${worded(policy, "inodes")} without limits.disk: files may be few and still fill the memory`];
}

function addressSpaceWarnings(policy: ResolvedPolicy): readonly string[] {
  if (policy.limits.addressSpace === null) return [];
  return [
    `${worded(policy, "addressSpace")} counts reservations as well: Node, Go and Java may not start; limits.memory is what most people want`,
  ];
}

/** One sentence each. */
export function limitContradictions(policy: ResolvedPolicy, asked: Asked): readonly string[] {
  return [
    ...cpuTimeWarnings(policy, asked),
    ...cpuWarnings(policy, asked),
    ...sizeWarnings(policy, asked),
    ...fileWarnings(policy),
    ...mountWarnings(policy),
    ...addressSpaceWarnings(policy),
  ];
}
