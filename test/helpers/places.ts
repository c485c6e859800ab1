import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** The checkout (or its copy) that is being tested. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** What tests may keep from one run to the next: compiled programs, belljar's own caches. */
export const cacheDir = process.env["BELLJAR_TEST_CACHE"] ?? join(tmpdir(), `belljar-test-${process.getuid?.()}`);

/** Where folders of single tests are made. */
const tempHome = process.env["BELLJAR_TEST_TMP"] ?? join(cacheDir, "tmp");

/** Makes a private directory (0700); the caller removes it. */
export function makeTempDir(label = "t"): string {
  mkdirSync(tempHome, { recursive: true });
  return mkdtempSync(join(tempHome, `${label}-`));
}

/** A private directory for the current test, removed when the test ends. */
export function tempDir(label = "t"): string {
  const dir = makeTempDir(label);
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
