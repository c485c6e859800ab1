import { statSync } from "node:fs";
import type { HostFiles } from "../host/host-files.ts";

/** Namespaces in which paths, ids, addresses and times of a plan have their meaning. */
const namespaces = ["mnt", "user", "net", "pid", "time"] as const;
/** Of proc_pid_status(5). */
const inherited = /^(?:Uid|Gid|Groups|Umask|NoNewPrivs|Seccomp|Seccomp_filters):.*$/gm;

/** Fields 40 and 41 of proc_pid_stat(5), real-time priority and scheduling policy, and 19, the nice value. */
function schedulingOf(stat: string): string {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return [16, 37, 38].map((at) => fields[at] ?? "").join(" ");
}

/**
 * Where this process stands: all that a run takes from whoever starts it and that no plan tells. Two processes of which it is the same may start
 * each other's runs. Limits and CPUs are compared apart: of them a plan tells.
 */
export function standing(files: HostFiles): string {
  const root = statSync("/", { bigint: true });
  return [
    ...namespaces.map((name) => files.link(`/proc/self/ns/${name}`) ?? name),
    `root ${root.dev} ${root.ino}`,
    ...((files.text("/proc/self/status") ?? "").match(inherited) ?? []),
    `scheduling ${schedulingOf(files.text("/proc/self/stat") ?? "")}`,
  ].join("\n");
}
