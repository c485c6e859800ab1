// The examples of docs/library.md: the compiler takes them, and they print what the page says.
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { root, tempDir } from "../helpers/places.ts";

interface Example {
  readonly code: string;
  readonly output: string;
}

/** A block of TypeScript and the block of text after it. */
function examplesOf(page: string): readonly Example[] {
  return [...page.matchAll(/^```ts\n([\s\S]*?)^```\n+(?:^```text\n([\s\S]*?)^```$)?/gm)].map(([, code = "", output = ""]) => ({
    code,
    output,
  }));
}

const settings = {
  compilerOptions: {
    ...{ target: "ES2022", lib: ["ES2023", "ESNext.Disposable"], module: "NodeNext", moduleResolution: "NodeNext" },
    ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true },
    ...{ types: ["node"], typeRoots: [join(root, "node_modules/@types")] },
  },
};

needs("userns", "python3")(
  "every example is compiled and run",
  async () => {
    const examples = examplesOf(readFileSync(join(root, "docs/library.md"), "utf8"));
    expect(examples.length).toBeGreaterThanOrEqual(5);
    const folder = tempDir("examples");
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/belljar"));
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
    for (const [index, { code }] of examples.entries()) writeFileSync(join(folder, `${index}.mts`), code);
    const tsc = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--project", folder], { encoding: "utf8" });
    expect(tsc.stdout + tsc.stderr).toBe("");
    for (const [index, { code, output }] of examples.entries()) {
      const program = join(folder, `${index}.mjs`);
      // As a user's own tools do it: Node 20 has no `await using`.
      await build({ entryPoints: [join(folder, `${index}.mts`)], outfile: program, format: "esm", target: "node20" });
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], { cwd: folder, timeout: 60_000 });
      expect({ stdout, stderr }, code).toEqual({ stdout: output, stderr: "" });
    }
  },
  120_000,
);
