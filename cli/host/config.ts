import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { formatSize } from "../../policy/units.ts";
import { type RegistriesConfig, registriesProblem } from "../image/registry/config.ts";
import { printable, quoted } from "../output/terminal.ts";

export const cgroupUses = ["auto", "none", "cgroup1", "cgroup2"] as const;
export type CgroupUse = (typeof cgroupUses)[number];

/** Settings of a host or a user; every key is optional. Documented in docs/hosts.md. */
export interface Config {
  /** The account that belljar becomes when root starts it. */
  readonly runAs?: string;
  readonly cgroup?: {
    /** Which kind to use; `auto` takes what the host gives. */
    readonly use?: CgroupUse;
    /** cgroup v2: the directory in which runs make theirs. */
    readonly parent?: string;
    /** cgroup v1: the directory for each controller. */
    readonly parents?: Readonly<Record<string, string>>;
  };
  /** Whether runs take sandboxes of a run server that fits. */
  readonly server?: "auto" | "none";
  /** How to reach registries, by host. Documented in docs/registry.md. */
  readonly registries?: RegistriesConfig;
}

export const systemConfigPath = "/etc/belljar/config.json";
const maxBytes = 65536;
type Environment = Readonly<Record<string, string | undefined>>;

function refuse(file: string, reason: string, detail: { readonly cause?: unknown; readonly hint?: string | undefined } = {}): never {
  throw new BelljarError("config-invalid", `reading the configuration: ${quoted(file)}: ${reason}`, detail);
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function refuseOthers(file: string, path: string, value: Readonly<Record<string, unknown>>, known: readonly string[]): void {
  const other = Object.keys(value).find((key) => !known.includes(key));
  if (other !== undefined) refuse(file, `${path}${other}: unknown key (known: ${known.join(", ")})`);
}

const isAbsolute = (value: unknown): value is string => typeof value === "string" && value.startsWith("/") && !value.includes("\0");

function checkCgroup(file: string, value: unknown): NonNullable<Config["cgroup"]> {
  if (!isObject(value)) refuse(file, "cgroup: must be an object");
  refuseOthers(file, "cgroup.", value, ["use", "parent", "parents"]);
  const { use, parent, parents } = value as { readonly use?: unknown; readonly parent?: unknown; readonly parents?: unknown };
  if (use !== undefined && !cgroupUses.includes(use as CgroupUse)) refuse(file, `cgroup.use: must be one of ${cgroupUses.join(", ")}`);
  if (parent !== undefined && !isAbsolute(parent)) refuse(file, "cgroup.parent: must be an absolute path");
  if (parents !== undefined) {
    if (!isObject(parents)) refuse(file, "cgroup.parents: must be an object of controller and path");
    for (const [name, path] of Object.entries(parents)) {
      if (!/^[a-z]+$/.test(name)) refuse(file, `cgroup.parents.${name}: is no controller`);
      if (!isAbsolute(path)) refuse(file, `cgroup.parents.${name}: must be an absolute path`);
    }
  }
  return value as NonNullable<Config["cgroup"]>;
}

/** Checks what a configuration file holds. Throws BelljarError `config-invalid` with file and key. */
export function parseConfig(text: string, file: string): Config {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    refuse(file, `is no JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!isObject(value)) refuse(file, "must be an object");
  refuseOthers(file, "", value, ["runAs", "cgroup", "registries", "server"]);
  const { runAs, cgroup, registries, server } = value as Readonly<Record<"runAs" | "cgroup" | "registries" | "server", unknown>>;
  if (server !== undefined && server !== "auto" && server !== "none") refuse(file, "server: must be auto or none");
  const problem = registries === undefined ? null : registriesProblem(registries);
  if (problem !== null) refuse(file, problem);
  if (runAs !== undefined && (typeof runAs !== "string" || runAs === "")) refuse(file, "runAs: must be the name of an account");
  return {
    ...(runAs === undefined ? {} : { runAs: runAs as string }),
    ...(cgroup === undefined ? {} : { cgroup: checkCgroup(file, cgroup) }),
    ...(server === undefined ? {} : { server }),
    ...(registries === undefined ? {} : { registries: registries as RegistriesConfig }),
  };
}

/** null when the file is absent. Nobody but its owner and root may have been able to write it: it names an account and host paths. */
function readConfig(file: string, uid: number, foreignHint: () => string | undefined): Config | null {
  let text: string;
  try {
    const status = statSync(file, { throwIfNoEntry: false });
    if (status === undefined) return null;
    if (!status.isFile()) refuse(file, "is no regular file");
    if (status.uid !== 0 && status.uid !== uid) refuse(file, `belongs to user ${status.uid}, not to you or root`, { hint: foreignHint() });
    if ((status.mode & 0o002) !== 0) refuse(file, "can be written by everybody");
    if (status.size > maxBytes) refuse(file, `is larger than ${formatSize(maxBytes)}`);
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof BelljarError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    const denied = code === "EACCES";
    return refuse(file, denied ? "permission denied" : (code ?? message), { cause: error, hint: denied ? foreignHint() : undefined });
  }
  return parseConfig(text, file);
}

/** $XDG_CONFIG_HOME, else ~/.config; null without a home. A relative value counts as unset (XDG Base Directory Specification). */
export function configHome(environment: Environment): string | null {
  const { XDG_CONFIG_HOME: configured, HOME: home } = environment as { readonly XDG_CONFIG_HOME?: string; readonly HOME?: string };
  if (configured?.startsWith("/")) return configured;
  return home?.startsWith("/") ? join(home, ".config") : null;
}

/** Where the home that we were told of is somebody else's (as after `su` without `-`), that is what to change. */
function foreignHome(environment: Environment, uid: number): string | undefined {
  const { XDG_CONFIG_HOME: configured, HOME: home } = environment as { readonly XDG_CONFIG_HOME?: string; readonly HOME?: string };
  const [name, path] = configured?.startsWith("/") ? ["XDG_CONFIG_HOME", configured] : ["HOME", home ?? ""];
  let owner: number | undefined;
  try {
    owner = statSync(path, { throwIfNoEntry: false })?.uid;
  } catch {
    // not even to be looked at: not ours
  }
  return owner === uid ? undefined : `${name} is ${printable(path)}, which is not yours: set ${name} to a folder of your own`;
}

/**
 * The user's configuration over the system's, key by key. Absent files are fine.
 * Throws BelljarError `config-invalid` for one that is unreadable, foreign or wrong.
 */
export function loadConfig(environment: Environment = process.env, systemPath = systemConfigPath): Config {
  const uid = process.getuid?.() ?? 0;
  const home = configHome(environment);
  const system = readConfig(systemPath, 0, () => undefined) ?? {};
  return {
    ...system,
    ...(home === null ? {} : (readConfig(join(home, "belljar/config.json"), uid, () => foreignHome(environment, uid)) ?? {})),
  };
}
