/** /proc and /sys as the profile says. */
import type { ResolvedPolicy } from "../profile/types.ts";
import type { FsEntry } from "../wire/wire.gen.ts";
import { bindTree, mask, proc, readOnly, sysfs } from "./entries.ts";

/** Masked and read-only paths that container runtimes agree on (containerd and Docker defaults); missing ones are skipped. */
const procMasked = ["acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats"];
const procReadOnly = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
const sysMasked = ["firmware", "devices/virtual/powercap"];

export function procEntries(mode: ResolvedPolicy["proc"]): readonly FsEntry[] {
  switch (mode) {
    case "private":
      return [proc(["subsetPid"])];
    case "full":
      return [
        proc([]),
        ...procMasked.map((name) => mask(`/proc/${name}`)),
        ...procReadOnly.map((name) => readOnly(`/proc/${name}`, ["optional"])),
      ];
    case "host-read-only":
      return [bindTree("/proc", "/proc")];
    case "none":
      return [];
  }
}

/**
 * sysfs belongs to a network namespace: a new mount needs privilege over it, which a sandbox on the host's network
 * lacks. There the host's /sys is bound read-only, submounts included.
 */
export function sysEntries(policy: ResolvedPolicy): readonly FsEntry[] {
  if (policy.sys === "none") return [];
  const masked = sysMasked.map((name) => mask(`/sys/${name}`));
  return policy.network.mode === "host" ? [bindTree("/sys", "/sys"), ...masked] : [sysfs(), ...masked];
}
