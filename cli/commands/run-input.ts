import { BelljarError } from "../../policy/errors.ts";
import { parseSet, refuseBareDuration } from "../../policy/profile/set.ts";
import { limitNames } from "../../policy/profile/types.ts";
import { parseDuration, parseSize } from "../../policy/units.ts";
import { quoted } from "../output/terminal.ts";
import type { FileInRequest, FileOutRequest, Override, RunInput, VolumeRequest } from "../run/input.ts";
import { absoluteHostPath } from "../run/paths.ts";
import { checkVariableBytes } from "../run/raw-text.ts";
import type { GivenArguments, GivenOption } from "./arguments.ts";
import { limitOption } from "./run-options.ts";

/** What `run` does with streams and report, apart from the run itself. */
export interface Presentation {
  readonly stdin: string | null;
  readonly stdout: string | null;
  readonly stderr: string | null;
  readonly report: string | null;
  readonly plot: string | null;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly server: boolean;
  readonly runAs: string | null;
}

export interface GivenRun {
  readonly input: RunInput;
  readonly presentation: Presentation;
}

function usage(option: string, value: string, reason: string, hint?: string): BelljarError {
  return new BelljarError("usage", `reading options: '${option}' ${quoted(value)}: ${reason}`, { hint });
}

/** `SRC:DST[:ro|rw]`. */
export function parseVolume(text: string): VolumeRequest {
  const parts = text.split(":");
  const [source = "", target = "", mode] = parts;
  if (source === "" || target === "" || parts.length > 3 || !["ro", "rw", undefined].includes(mode)) {
    throw usage(
      "--volume",
      text,
      "is not SRC:DST, SRC:DST:ro or SRC:DST:rw",
      'a name with a colon in it cannot be written as an option: use a profile\'s "mounts"',
    );
  }
  return { source, target, access: mode === "rw" ? "read-write" : "read-only" };
}

/** `HOST[:PATH]`, divided at the last colon. */
export function parseFileIn(text: string): FileInRequest {
  const colon = text.lastIndexOf(":");
  const hostPath = colon === -1 ? text : text.slice(0, colon);
  const target = colon === -1 ? null : text.slice(colon + 1);
  if (hostPath === "" || target === "") throw usage("--in", text, "is not HOST or HOST:PATH");
  return { hostPath, target };
}

/** `PATH[:HOST]`, divided at the first colon. */
export function parseFileOut(text: string): FileOutRequest {
  const colon = text.indexOf(":");
  const source = colon === -1 ? text : text.slice(0, colon);
  const hostPath = colon === -1 ? null : text.slice(colon + 1);
  if (source === "" || hostPath === "") throw usage("--out", text, "is not PATH or PATH:HOST");
  return { source, hostPath };
}

/** `N=V`, or `N` for the caller's own value; null when the caller has none. */
export function parseEnv(text: string, environment: Readonly<Record<string, string | undefined>>): readonly [string, string] | null {
  const equals = text.indexOf("=");
  if (equals === 0 || text === "") throw usage("--env", text, "has no name before '='");
  if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
  const value = environment[text];
  if (value !== undefined) checkVariableBytes(text, value);
  return value === undefined ? null : [text, value];
}

/** A limit's value as a profile would have it: numbers are numbers, `none` is null, all else is text for the profile's own check. */
export function limitValue(name: string, text: string): string | number | null {
  if (text === "none") return null;
  return name !== "cpuset" && /^[0-9]{1,15}(\.[0-9]{1,6})?$/.test(text) ? Number(text) : text;
}

const limitByOption = new Map<string, string>(limitNames.map((limit) => [limitOption(limit), limit]));

function override({ name, value }: GivenOption): Override | null {
  if (value === null) return null;
  const origin = `option --${name}`;
  const limit = limitByOption.get(name);
  if (limit !== undefined) {
    refuseBareDuration(`limits.${limit}`, value, `--${name}`);
    return { path: `limits.${limit}`, value: limitValue(limit, value), origin };
  }
  if (name === "set") return { ...parseSet(value), origin: `option --set ${value}` };
  if (name === "network") return { path: "network.mode", value, origin };
  if (name === "stop-signal") return { path: "process.stopSignal", value: value === "none" ? null : value, origin };
  if (name === "stop-timeout") {
    refuseBareDuration("process.stopTimeout", value, `--${name}`);
    return { path: "process.stopTimeout", value, origin };
  }
  if (name === "image") return { path: "rootfs", value: { kind: "image", reference: value }, origin };
  if (name === "overlay-driver") return { path: "rootfs.overlay.driver", value, origin };
  if (name !== "rootfs") return null;
  return { path: "rootfs", value: value === "host" ? { kind: "host" } : { kind: "directory", path: absoluteHostPath(value) }, origin };
}

/** What --plot draws where --sample says nothing. */
const plotSample = "50ms";

/** 0: nobody asked. */
function parseSample(text: string | null): number {
  if (text === null) return 0;
  if (/^\d+$/.test(text)) throw usage("--sample", text, "must have a unit", `${text}ms for milliseconds or ${text}s for seconds`);
  return parseDuration(text, "reading options: '--sample'", { min: 1 });
}

const pullPolicies = ["missing", "always", "never"] as const;

function parsePull(text: string | null): (typeof pullPolicies)[number] {
  const found = pullPolicies.find((policy) => policy === (text ?? "missing"));
  if (found === undefined) throw usage("--pull", text ?? "", "is not missing, always or never");
  return found;
}

/** One word, or a JSON list of words as image configurations have it; nothing at all for no entry point. */
export function parseEntrypoint(text: string): readonly string[] {
  if (text === "") return [];
  if (!text.startsWith("[")) return [text];
  try {
    const words: unknown = JSON.parse(text);
    if (Array.isArray(words) && words.every((word) => typeof word === "string")) return words;
  } catch {
    // told below
  }
  throw usage("--entrypoint", text, 'is no JSON list of texts, such as ["sh", "-c"]');
}

/** Turns what was given on the command line into the form that a run is made from. Throws BelljarError `usage`. */
export function runInputFrom(given: GivenArguments, environment: Readonly<Record<string, string | undefined>>): GivenRun {
  const last = (name: string) => given.options.findLast((option) => option.name === name)?.value ?? null;
  const all = (name: string) => given.options.flatMap((option) => (option.name === name && option.value !== null ? [option.value] : []));
  const has = (name: string) => given.options.some((option) => option.name === name);
  const presentation: Presentation = {
    stdin: last("stdin"),
    stdout: last("stdout"),
    stderr: last("stderr"),
    report: last("report"),
    plot: last("plot"),
    json: has("json"),
    quiet: has("quiet"),
    verbose: has("verbose"),
    server: !has("no-server"),
    runAs: last("run-as"),
  };
  if (has("image") && has("rootfs"))
    throw new BelljarError("usage", "reading options: '--image' and '--rootfs' both say what to run on: leave out one of them");
  checkStreams(presentation, has("tty"));
  const outMax = last("out-max");
  const entrypoint = last("entrypoint");
  const input: RunInput = {
    profile: last("profile") ?? "default",
    overrides: given.options.flatMap((option) => override(option) ?? []),
    command: given.command,
    script: last("script"),
    hostScripts: true,
    workdir: last("workdir"),
    env: all("env").flatMap((text) => {
      const pair = parseEnv(text, environment);
      return pair === null ? [] : [pair];
    }),
    user: last("user"),
    entrypoint: entrypoint === null ? null : parseEntrypoint(entrypoint),
    pull: parsePull(last("pull")),
    terminal: has("tty"),
    volumes: all("volume").map(parseVolume),
    filesIn: all("in").map(parseFileIn),
    filesOut: all("out").map(parseFileOut),
    outMaxBytes: outMax === null ? null : parseSize(outMax, "reading options: '--out-max'", { min: 1 }),
    stdin: "pump",
    sampleMs: parseSample(last("sample") ?? (has("plot") ? plotSample : null)),
    capture: presentation.json,
  };
  return { input, presentation };
}

function checkStreams({ json, stdin, stdout, stderr }: Presentation, terminal: boolean): void {
  const redirected = stdin !== null || stdout !== null || stderr !== null;
  if (terminal && (json || redirected)) {
    throw new BelljarError("usage", "reading options: '--tty': a terminal excludes --json, --stdin, --stdout and --stderr");
  }
  if (json && (stdout !== null || stderr !== null)) {
    throw new BelljarError("usage", "reading options: '--json': puts stdout and stderr into its document: leave out --stdout and --stderr");
  }
}
