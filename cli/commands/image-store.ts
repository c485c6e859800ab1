import { BelljarError } from "../../policy/errors.ts";
import { becomeOrdinary } from "../host/account.ts";
import { type Config, loadConfig } from "../host/config.ts";
import { openStore, type Store } from "../image/store.ts";
import { warningText } from "../output/human.ts";
import { factsDocument } from "../output/json.ts";
import { writeStderr, writeStdout } from "../output/streams.ts";

export interface ImageOptions {
  readonly json: boolean;
  readonly runAs?: string | undefined;
  /** Whether relative paths are given, which mean the working directory. Default: they are not. */
  readonly paths?: boolean;
}

export interface ImageCommand {
  readonly store: Store;
  readonly config: Config;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
}

const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs a command on the image store as an ordinary user. A signal ends it in order: what is unfinished is removed, what can be continued
 * is kept. Returns the exit status, 128 and the signal's number after one.
 */
export async function onStore(options: ImageOptions, action: (command: ImageCommand) => Promise<number>): Promise<number> {
  const config = loadConfig();
  becomeOrdinary({ runAs: options.runAs, configured: config.runAs, workingDirectory: options.paths === true ? "required" : "any" });
  const aborter = new AbortController();
  let status: number | null = null;
  const handlers = Object.entries(signals).map(([name, code]) => {
    const handler = (): void => {
      status ??= code;
      aborter.abort();
    };
    process.on(name, handler);
    return () => process.off(name, handler);
  });
  const store = await openStore();
  try {
    return await action({ store, config, signal: aborter.signal });
  } catch (error) {
    if (status !== null && error instanceof BelljarError && error.code === "cancelled") return status;
    throw error;
  } finally {
    await store.close();
    for (const remove of handlers) remove();
  }
}

/** Facts as JSON, or as the lines for people. */
export async function tell(options: ImageOptions, facts: object, lines: readonly string[]): Promise<void> {
  if (options.json) await writeStdout(factsDocument({ schemaVersion: 1, ...facts }));
  else if (lines.length > 0) await writeStdout(`${lines.join("\n")}\n`);
}

/** With --json, warnings stand in the document. */
export function warn(options: ImageOptions, warnings: readonly string[]): void {
  if (!options.json) for (const warning of warnings) writeStderr(warningText(warning));
}
