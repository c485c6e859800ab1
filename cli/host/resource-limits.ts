import type { CallerLimit, HostFacts } from "../../policy/compile/types.ts";
import type { HostFiles } from "./host-files.ts";

/** The rows of /proc/self/limits (fs/proc/base.c, lnames) and what one of their units is in ours. */
const rows: Readonly<Record<CallerLimit, readonly [name: string, factor: number]>> = {
  cpuTime: ["Max cpu time", 1000],
  fileSize: ["Max file size", 1],
  stack: ["Max stack size", 1],
  core: ["Max core file size", 1],
  processes: ["Max processes", 1],
  openFiles: ["Max open files", 1],
  lockedMemory: ["Max locked memory", 1],
  addressSpace: ["Max address space", 1],
};

interface ResourceLimit {
  /** null: unlimited. */
  readonly soft: number | null;
  readonly hard: number | null;
}

/** One row of proc_pid_limits(5); a row that is not there limits nothing that we know of. */
export function parseResourceLimit(text: string, name: string): ResourceLimit {
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  const [soft, hard] = (line?.slice(name.length).trim().split(/\s+/) ?? []).map((word) =>
    // Beyond what a number holds exactly no limit of ours can go.
    /^\d+$/.test(word) && Number(word) <= Number.MAX_SAFE_INTEGER ? Number(word) : null,
  );
  return { soft: soft ?? null, hard: hard ?? null };
}

/**
 * What gets a crash in spite of our core limit of 1 byte (core(5), fs/coredump.c): a socket asks for no limit, and a program is
 * started unless the limit is exactly 1, which a hard limit of 0 does not allow.
 */
export function coreEscape(files: HostFiles): HostFacts["core"]["escape"] {
  const pattern = files.text("/proc/sys/kernel/core_pattern") ?? "";
  if (pattern.startsWith("@")) return "socket";
  const { hard } = parseResourceLimit(files.text("/proc/self/limits") ?? "", rows.core[0]);
  return pattern.startsWith("|") && hard === 0 ? "program" : null;
}

/** The limits under which this process was started, and where a crash goes. */
export function resourceFacts(files: HostFiles): Pick<HostFacts, "callerLimits" | "core"> {
  const text = files.text("/proc/self/limits") ?? "";
  const hard = Object.entries(rows).map(([limit, [name, factor]]) => {
    const value = parseResourceLimit(text, name).hard;
    return [limit, value === null ? null : value * factor] as const;
  });
  const core = parseResourceLimit(text, rows.core[0]);
  return {
    callerLimits: Object.fromEntries(hard) as Readonly<Record<CallerLimit, number | null>>,
    core: { escape: coreEscape(files), closed: core.soft === 1 && core.hard === 1 },
  };
}
