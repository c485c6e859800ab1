/** How a program of the table is built and run. */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { attackProgram } from "../helpers/attack.ts";
import { compileFile } from "../helpers/compile.ts";
import { cacheDir, root, tempDir } from "../helpers/places.ts";
import type { Driver, Outcome } from "./driver.ts";
import { type Command, type Program, usualLimits } from "./kinds.ts";

const sources = join(root, "test/limits/sources");

/** Builds once what a compiler makes of a source; newer sources are built again. */
function built(name: string, source: string, build: (part: string) => readonly string[]): string {
  const path = join(cacheDir, "limits", name);
  if (existsSync(path) && statSync(path).mtimeMs >= statSync(source).mtimeMs) return path;
  const part = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  const [compiler = "", ...args] = build(part);
  const { status, stderr, error } = spawnSync(compiler, args, {
    encoding: "utf8",
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: cacheDir, GOCACHE: join(cacheDir, "go"), GOFLAGS: "-mod=mod" },
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${compiler} ${source}: ${stderr}`);
  rmSync(path, { recursive: true, force: true });
  renameSync(part, path);
  return path;
}

function executable(command: Exclude<Command, { readonly kind: "host" }>): string {
  if ("program" in command)
    return command.program === "array" ? compileFile(join(root, "test/fixtures/programs/array.c")) : attackProgram(command.program);
  const source = join(sources, command.source);
  if (command.kind === "go") return built("go-program", source, (part) => ["go", "build", "-o", part, source]);
  return compileFile(source, { compiler: "g++", language: "c++" });
}

/** What is mounted, and the command to run there. */
function placed(command: Command): { readonly program: string | null; readonly argv: readonly string[] } {
  if (command.kind === "host") return { program: null, argv: command.argv };
  if (command.kind === "java") {
    const source = join(sources, command.source);
    const dir = built("java", source, (part) => ["javac", "-d", part, source]);
    return { program: dir, argv: ["java", "-XX:+UseSerialGC", "-Xmx2g", "-cp", "/program", "Program", ...command.args] };
  }
  const path = executable(command);
  return { program: path, argv: ["/program", ...command.args] };
}

/** A folder on a disk, for what must not be memory. */
function diskFolder(bigMiB: number | undefined): string {
  const dir = tempDir("volume");
  if (bigMiB !== undefined) {
    const fd = openSync(join(dir, "big"), "w");
    ftruncateSync(fd, bigMiB << 20);
    closeSync(fd);
  }
  return dir;
}

export function runProgram(
  { command, limits = {}, volume }: Pick<Program, "command" | "limits" | "volume">,
  driver: Driver,
): Promise<Outcome> {
  const { program, argv } = placed(command);
  const volumes = [
    ...(program === null ? [] : [{ source: program, target: "/program" }]),
    ...(volume === undefined ? [] : [{ source: diskFolder(volume.bigMiB), target: "/volume", access: "read-write" as const }]),
  ];
  const unlimited = volume === undefined ? {} : { fileSize: null };
  return driver.run({ command: argv, volumes, limits: { ...usualLimits, ...unlimited, ...limits } });
}

export const languageOf = (command: Command): string =>
  command.kind === "host" ? command.language : { c: "C", "c++": "C++", java: "Java", go: "Go" }[command.kind];
