import { readFileSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { parseDuration } from "../../policy/units.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { isRootInNameOnly } from "../host/account.ts";
import { loadConfig } from "../host/config.ts";
import { makeRunFolder } from "../host/runtime-dir.ts";
import type { Override, RunInput } from "../run/input.ts";
import { absoluteHostPath } from "../run/paths.ts";
import { prepareRun } from "../run/prepare.ts";
import { runSession, type SessionResult } from "../run/session.ts";
import { checkOptions, type InputFile, type RunOptions } from "./options.ts";

/** What {@link run} returns. `Stream` is string, or Uint8Array with `encoding: "buffer"`. */
export interface RunResult<Stream> {
  readonly report: RunReport;
  readonly stdout: Stream;
  readonly stderr: Stream;
  /** The `outputs` that were there; for the others `report.outputs` says why not. */
  readonly outputs: Readonly<Record<string, Uint8Array>>;
  /** Limits that nothing enforces here, and contradictions of the profile, one sentence each. */
  readonly warnings: readonly string[];
}

function refuseRoot(): void {
  if (process.getuid?.() !== 0 || isRootInNameOnly(readFileSync("/proc/self/uid_map", "utf8"))) return;
  throw new BelljarError("root-refused", "starting: belljar does not run programs as root", {
    hint: "run this program as an ordinary user; the command `belljar run` can become one with --run-as",
  });
}

function overridesOf(options: RunOptions): readonly Override[] {
  const origin = "option run()";
  const overrides: Override[] = [];
  for (const [path, value] of Object.entries(options.set ?? {})) overrides.push({ path, value, origin });
  for (const [name, value] of Object.entries(options.limits ?? {})) {
    if (value !== undefined) overrides.push({ path: `limits.${name}`, value, origin });
  }
  const { network, rootfs, image } = options;
  if (network !== undefined) overrides.push({ path: "network.mode", value: network, origin });
  if (rootfs !== undefined) {
    const value = rootfs === "host" ? { kind: "host" } : { kind: "directory", path: absoluteHostPath(rootfs) };
    overrides.push({ path: "rootfs", value, origin });
  }
  if (image !== undefined) overrides.push({ path: "rootfs", value: { kind: "image", reference: image }, origin });
  return overrides;
}

const asFile = (file: string | Uint8Array | InputFile): InputFile =>
  typeof file === "string" || file instanceof Uint8Array ? { content: file } : file;

/** Files of the caller's memory become files of a private folder, numbered: their names in the sandbox mean nothing here. */
async function writeFiles(files: NonNullable<RunOptions["files"]>, folder: string): Promise<RunInput["filesIn"]> {
  await mkdir(join(folder, "in"));
  return Promise.all(
    Object.entries(files).map(async ([target, file], index) => {
      const hostPath = join(folder, "in", String(index));
      const { content, executable = false } = asFile(file);
      await writeFile(hostPath, content, { mode: executable ? 0o755 : 0o644, flag: "wx" });
      return { hostPath, target };
    }),
  );
}

async function readOutputs(names: readonly string[], report: RunReport, folder: string): Promise<Record<string, Uint8Array>> {
  const found: [string, Uint8Array][] = [];
  for (const [index, name] of names.entries()) {
    if (report.outputs[index]?.error === null) found.push([name, new Uint8Array(await readFile(join(folder, "out", String(index))))]);
  }
  return Object.fromEntries(found);
}

/** Runs with a private folder for files in and out, which is gone afterwards, however the run ended. */
async function runIn(folder: string | null, options: RunOptions): Promise<RunResult<Uint8Array>> {
  const { files = {}, outputs = [] } = options;
  const filesIn = folder === null ? [] : await writeFiles(files, folder);
  if (folder !== null) await mkdir(join(folder, "out"));
  const input: RunInput = {
    profile: options.profile ?? "default",
    overrides: overridesOf(options),
    command: options.command ?? [],
    script: options.script ?? null,
    hostScripts: false,
    workdir: options.workdir ?? null,
    env: Object.entries(options.env ?? {}),
    user: options.user ?? null,
    entrypoint: options.entrypoint ?? null,
    pull: options.pull ?? "missing",
    terminal: false,
    volumes: (options.volumes ?? []).map(({ source, target, access = "read-only" }) => ({ source, target, access })),
    filesIn,
    filesOut: outputs.map((source, index) => ({ source, hostPath: join(folder ?? "", "out", String(index)) })),
    outMaxBytes: options.outputMaxBytes ?? null,
    stdin: options.stdin === undefined ? "null" : "pump",
    sampleMs: options.sample === undefined ? 0 : parseDuration(options.sample, "reading options: 'sample'", { min: 1 }),
    capture: true,
  };
  const { signal } = options;
  const prepared = await prepareRun(input, {
    config: loadConfig(),
    environment: process.env,
    ...(signal === undefined ? {} : { signal }),
  });
  const result: SessionResult = await runSession(prepared, {
    targets: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    ...(options.stdin === undefined ? {} : { stdinData: typeof options.stdin === "string" ? Buffer.from(options.stdin) : options.stdin }),
    onSignals: false,
    ...(signal === undefined ? {} : { abort: signal }),
  }).finally(prepared.release);
  const { report, stdout, stderr } = result;
  if (report.verdict === "sandbox-error") throw failed(report);
  return {
    report,
    stdout,
    stderr,
    outputs: folder === null ? {} : await readOutputs(outputs, report, folder),
    warnings: prepared.warnings,
  };
}

/** Our failure is thrown, never returned as if it were the program's; the report is the cause. */
function failed(report: RunReport): BelljarError {
  const { code, message, hint } = report.error ?? { code: "sandbox-failed" as const, message: report.message, hint: null };
  return new BelljarError(code, message, { hint: hint ?? undefined, cause: report });
}

/**
 * Runs one program in a sandbox and returns its report, its output and the files asked for. What the program does, also
 * that it could not start or was cancelled, is the report's to tell. Throws BelljarError, with `code`, `hint` and `cause`,
 * for what went wrong on our side: options, profile, files of the caller, host, sandbox; and with the code `cancelled` when
 * `signal` was aborted before anything started.
 */
export async function run(options: RunOptions & { readonly encoding: "buffer" }): Promise<RunResult<Uint8Array>>;
export async function run(options: RunOptions & { readonly encoding?: "utf8" }): Promise<RunResult<string>>;
export async function run(options: RunOptions): Promise<RunResult<string> | RunResult<Uint8Array>> {
  checkOptions(options);
  refuseRoot();
  if (options.signal?.aborted)
    throw new BelljarError("cancelled", "starting: cancelled before the start", { cause: options.signal.reason });
  const needsFolder = Object.keys(options.files ?? {}).length > 0 || (options.outputs ?? []).length > 0;
  const folder = needsFolder ? makeRunFolder() : null;
  try {
    const result = await runIn(folder, options);
    if (options.encoding === "buffer") return result;
    const text = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    return { ...result, stdout: text(result.stdout), stderr: text(result.stderr) };
  } finally {
    if (folder !== null) await rm(folder, { recursive: true, force: true });
  }
}
