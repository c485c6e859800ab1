import { readFileSync } from "node:fs";

/** proc(5) facts that stay readable when the process is non-dumpable. */
export interface ProcessInfo {
  readonly comm: string;
  readonly uid: number;
  /** Jiffies since boot. */
  readonly startTime: number;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Field 22 of /proc/<pid>/stat; the command name before it may hold blanks and parentheses. */
export function startTimeOf(pid: number): number | null {
  const stat = read(`/proc/${pid}/stat`);
  const field = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return field === undefined ? null : Number(field);
}

/** null when there is no such process (a zombie is one no more), or none that may be seen. */
export function processInfo(pid: number): ProcessInfo | null {
  const status = read(`/proc/${pid}/status`);
  const startTime = startTimeOf(pid);
  if (status === null || startTime === null || /^State:\s+[ZX]/m.test(status)) return null;
  const uid = /^Uid:\s+(\d+)/m.exec(status)?.[1];
  return { comm: /^Name:\s+(.*)$/m.exec(status)?.[1] ?? "", uid: Number(uid), startTime };
}
