import { randomBytes } from "node:crypto";
import { closeSync, constants, fsyncSync, openSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { factsDocument } from "../output/json.ts";
import { checkDestination, fileError } from "./files.ts";

const doing = "writing the report";

/** Checks before the run that the report can be written after it. Throws BelljarError `file-unwritable`. */
export function checkReportFile(path: string): string {
  const special = statSync(path, { throwIfNoEntry: false });
  return special !== undefined && !special.isFile() && !special.isDirectory() ? path : checkDestination(path, doing);
}

/**
 * Writes a report whole or not at all: temporary name, fsync, rename. A pipe or device is written as it is.
 * Throws BelljarError `file-unwritable`.
 */
export function writeReport(path: string, report: RunReport): void {
  const text = factsDocument(report);
  const part = join(dirname(path), `.belljar-report.${randomBytes(6).toString("hex")}`);
  let made = false;
  try {
    const existing = statSync(path, { throwIfNoEntry: false });
    if (existing !== undefined && !existing.isFile()) {
      writeFileSync(path, text);
      return;
    }
    const descriptor = openSync(part, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o666);
    made = true;
    try {
      for (let rest = Buffer.from(text, "utf8"); rest.length > 0; ) rest = rest.subarray(writeSync(descriptor, rest));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(part, path);
  } catch (error) {
    if (made) rmSync(part, { force: true });
    throw fileError("file-unwritable", doing, path, error);
  }
}
