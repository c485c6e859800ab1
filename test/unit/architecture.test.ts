import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../helpers/places.ts";

const generated = /\.gen\.(ts|js|h|json|d\.ts)$|\.d\.ts$/;

function filesUnder(dir: string, pattern: RegExp): readonly string[] {
  return readdirSync(join(root, dir), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => pattern.test(path) && !/(^|\/)(node_modules|build|dist)\//.test(path))
    .sort();
}

const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** Module specifiers of static and dynamic imports and re-exports, type imports included. */
function importsOf(path: string): readonly string[] {
  const text = read(path).replace(/\/\*[\s\S]*?\*\//g, "");
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^;'"]*?\bfrom\s*["']([^"']+)["']|(?:^|\n)\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g,
  );
  return [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

/** "policy", "cli", "profiles", "native", "node:fs", "yargs": where an import leads. */
function roomOf(file: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier;
  return normalize(join(dirname(file), specifier)).split("/")[0] ?? "";
}

/** Every import of a set of files that a rule does not permit, as "file -> specifier". */
function offenders(files: readonly string[], permitted: (room: string, file: string) => boolean): readonly string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => !permitted(roomOf(file, specifier), file))
      .map((specifier) => `${file} -> ${specifier}`),
  );
}

const binding = "seccomp-ts-bindings";
const policyFiles = filesUnder("policy", /\.ts$/);
const cliFiles = filesUnder("cli", /\.ts$/);
const bindingFiles = filesUnder(`native/${binding}`, /\.(ts|js|mjs)$/).filter((path) => !/\.test\.|\/build\.mjs$/.test(path));
const nativeFiles = filesUnder("native", /\.[ch]$/);
/** What a pure room may take from Node: values in, values out. */
const pureModules = ["node:crypto", "node:util", "node:buffer", "node:path", "node:path/posix"];

describe("imports go one way", () => {
  test("the reader of imports sees each form", () => {
    expect(importsOf("test/unit/architecture.test.ts")).toContain("node:fs");
    expect(policyFiles.flatMap(importsOf).length).toBeGreaterThan(0);
    expect(cliFiles.flatMap(importsOf)).not.toEqual([]);
    expect(nativeFiles).not.toEqual([]);
  });

  test("policy imports policy, data and pure modules only; policy/seccomp alone loads the binding", () => {
    const permitted = (room: string, file: string): boolean =>
      room === "policy" || room === "profiles" || pureModules.includes(room) || (room === binding && file.startsWith("policy/seccomp/"));
    expect(offenders(policyFiles, permitted)).toEqual([]);
  });

  test("policy reads no clock, environment or chance", () => {
    const effects =
      /(?<![.\w])process\.|\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bMath\.random\b|\brandomBytes\b|\brandomUUID\b|\bfetch\(/;
    const code = (path: string): string =>
      read(path)
        .replace(/\/\*[\s\S]*?\*\//g, "")
        .replace(/\/\/.*$/gm, "");
    const pure = policyFiles.filter((path) => !path.startsWith("policy/seccomp/") && !generated.test(path));
    expect(pure.filter((path) => effects.test(code(path).replace(/"(?:[^"\\\n]|\\.)*"/g, '""')))).toEqual([]);
  });

  test("cli imports cli, policy, profiles, Node and the libraries it bundles", () => {
    const libraries = ["yargs", "yargs/helpers", "yargs/yargs", "undici", "zstddec/stream"];
    const permitted = (room: string): boolean =>
      ["cli", "policy", "profiles", "package.json"].includes(room) || room.startsWith("node:") || libraries.includes(room);
    expect(offenders(cliFiles, permitted)).toEqual([]);
  });

  test("the seccomp package imports nothing of ours", () => {
    expect(bindingFiles).not.toEqual([]);
    expect(offenders(bindingFiles, (room) => room === "native" || room === binding || room.startsWith("node:"))).toEqual([]);
  });

  test("native C includes nothing from outside native", () => {
    const outside = nativeFiles.flatMap((file) =>
      [...read(file).matchAll(/^#\s*include\s*"([^"]+)"/gm)]
        .map((match) => match[1] ?? "")
        .filter((path) => path.startsWith("/") || !normalize(join(dirname(file), path)).startsWith("native/"))
        .map((path) => `${file} -> ${path}`),
    );
    expect(outside).toEqual([]);
  });

  test("process.exit is called in one file only", () => {
    const callers = cliFiles.filter((path) => /\bprocess\.exit\(/.test(read(path)));
    expect(callers.filter((path) => path !== "cli/main.ts")).toEqual([]);
  });
});

describe("files a newcomer can hold in the head", () => {
  const lines = (path: string): number => read(path).split("\n").length;
  const tooLong = (files: readonly string[], limit: number): readonly string[] =>
    files.filter((path) => !generated.test(path) && lines(path) > limit).map((path) => `${path}: ${lines(path)} lines (limit ${limit})`);

  test("TypeScript sources stay below 350 lines", () => {
    expect(tooLong([...policyFiles, ...cliFiles], 350)).toEqual([]);
  });

  test("C sources stay below 500 lines", () => {
    expect(tooLong(nativeFiles, 500)).toEqual([]);
  });
});

describe("packages", () => {
  test("the lock file records no registry address", () => {
    const lock = JSON.parse(read("package-lock.json")) as {
      readonly packages: Readonly<Record<string, { readonly resolved?: string; readonly link?: boolean }>>;
    };
    const addresses = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined && !entry.link);
    expect(addresses).toEqual([]);
  });

  test("every dependency is pinned to one version", () => {
    const manifest = JSON.parse(read("package.json")) as Readonly<
      Record<"dependencies" | "devDependencies", Readonly<Record<string, string>>>
    >;
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, range]) => !/^\d+\.\d+\.\d+$/.test(range),
    );
    expect(loose).toEqual([]);
  });
});
