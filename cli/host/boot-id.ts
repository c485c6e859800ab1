import { readFileSync } from "node:fs";

let id: string | null = null;

/** Another one after each start of the machine. */
export function bootId(): string {
  id ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return id;
}
