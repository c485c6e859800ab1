// What figures depend on, besides the programs.
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

function text(path) {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return null;
  }
}

export const load = () => Number(text("/proc/loadavg")?.split(" ")[0] ?? 0);

export function machineFacts({ before, after }) {
  const system = /^PRETTY_NAME="?([^"\n]*)/m.exec(text("/etc/os-release") ?? "")?.[1] ?? "unknown";
  return {
    ...{ cpu: cpus()[0]?.model ?? "unknown", cpus: cpus().length, memoryMiB: Math.round(totalmem() / 2 ** 20) },
    ...{ kernel: release(), system, node: process.versions.node },
    governor: text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    mitigations: text("/sys/devices/system/cpu/vulnerabilities/spectre_v2"),
    load: { before, after },
    date: new Date().toISOString().slice(0, 10),
  };
}
