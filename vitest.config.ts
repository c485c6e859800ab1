import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** A tier per folder; see test/README.md. The `root` tier is what only root can try, wherever its file lies. */
const tier = (name: string, testTimeoutMs: number) => ({
  extends: true as const,
  test: {
    name,
    include: name === "root" ? ["test/**/*.root.test.ts"] : [`test/${name}/**/*.test.ts`],
    exclude: name === "root" ? [] : ["**/*.root.test.ts"],
    setupFiles: name === "unit" ? [] : ["test/helpers/setup.ts"],
    testTimeout: testTimeoutMs,
    hookTimeout: testTimeoutMs,
    // Two lanes and their guests share a machine that others use too. A second try is told of ("retry x1"), and is a fault of the test or of ours to be found.
    retry: name !== "unit" && process.env["CI"] ? 1 : 0,
  },
});

export default defineConfig({
  cacheDir: join(process.env["BELLJAR_TEST_CACHE"] ?? join(tmpdir(), `belljar-test-${process.getuid?.()}`), "vite"),
  test: {
    pool: "forks",
    ...(process.env["BELLJAR_TEST_RESULTS"] ? { outputFile: { json: process.env["BELLJAR_TEST_RESULTS"] } } : {}),
    passWithNoTests: false,
    restoreMocks: true,
    projects: [
      tier("unit", 10_000),
      tier("native", 60_000),
      tier("integration", 60_000),
      tier("escape", 60_000),
      tier("regressions", 60_000),
      tier("limits", 120_000),
      tier("root", 60_000),
    ],
  },
});
