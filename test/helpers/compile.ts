import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { cacheDir, root } from "./places.ts";

export interface CompileOptions {
  /** Default: -static, so that the program runs in any rootfs. */
  readonly flags?: readonly string[];
  readonly compiler?: string;
  readonly language?: "c" | "c++";
}

const defaultFlags = ["-static"];

/** Compiles a C file once and keeps the result under a name that its content decides. Returns the program's path; throws with the compiler's words. */
export function compileFile(source: string, { flags = defaultFlags, compiler = "cc", language = "c" }: CompileOptions = {}): string {
  const args = [language === "c" ? "-std=gnu17" : "-std=gnu++17", "-O1", "-g0", "-Wall", "-Wextra", "-D_GNU_SOURCE", ...flags];
  const key = createHash("sha256")
    .update([compiler, ...args, readFileSync(source)].join("\0"))
    .digest("hex");
  const dir = join(cacheDir, "programs", key.slice(0, 16));
  const program = join(dir, basename(source).replace(/\.\w+$/, ""));
  if (existsSync(program)) return program;
  mkdirSync(dir, { recursive: true });
  const part = `${program}.${process.pid}`;
  const { status, stderr, error } = spawnSync(compiler, [...args, "-o", part, source, "-pthread"], { encoding: "utf8" });
  if (error) throw error;
  if (status !== 0) throw new Error(`${compiler} ${source}: ${stderr}`);
  renameSync(part, program);
  return program;
}

/** Compiles test/fixtures/programs/NAME.c. */
export function fixtureProgram(name: string, options: CompileOptions = {}): string {
  return compileFile(join(root, "test/fixtures/programs", `${name}.c`), options);
}

/** Compiles test/helpers/NAME.c: what the harness itself runs. */
export function helperProgram(name: string): string {
  return compileFile(join(root, "test/helpers", `${name}.c`));
}
