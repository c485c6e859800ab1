import { spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { configHome } from "../host/config.ts";
import { quoted } from "../output/terminal.ts";
import { reasonOf } from "../run/files.ts";
import { defaultDomain } from "./reference.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What opens a registry. Never printed, and never part of an error. */
export type Credentials =
  | { readonly kind: "password"; readonly username: string; readonly password: string; readonly source: string }
  /** Exchanged for tokens at the registry's token service (OAuth 2 refresh token). */
  | { readonly kind: "identity-token"; readonly token: string; readonly source: string }
  /** Sent as it is. */
  | { readonly kind: "registry-token"; readonly token: string; readonly source: string };

/** An image's place, for which credentials are looked for. */
export interface Place {
  readonly domain: string;
  readonly path: string;
}

export interface CredentialOptions {
  readonly environment: Environment;
  /** What went wrong without being the end: a helper that failed. */
  readonly warn: (message: string) => void;
  readonly signal?: AbortSignal;
}

const maxFileBytes = 1024 * 1024;
const maxHelperBytes = 64 * 1024;
/** A helper may ask a person to unlock a key ring. */
const helperTimeoutMs = 60_000;
/** For the last of its output, when something that it has started keeps it open. */
const afterExitMs = 500;
/** The key under which Docker keeps the credentials of Docker Hub. */
const dockerHubKey = "https://index.docker.io/v1/";

type JsonObject = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Where credentials are looked for, in order; only the first file that has some for a place counts. */
export function authFiles(environment: Environment): readonly string[] {
  const { REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, DOCKER_CONFIG, HOME } = environment as Readonly<Record<string, string | undefined>>;
  const config = configHome(environment);
  const docker = DOCKER_CONFIG?.startsWith("/") ? DOCKER_CONFIG : HOME?.startsWith("/") ? join(HOME, ".docker") : null;
  return [
    ...(config === null ? [] : [join(config, "belljar/auth.json")]),
    ...(REGISTRY_AUTH_FILE?.startsWith("/") ? [REGISTRY_AUTH_FILE] : []),
    ...(XDG_RUNTIME_DIR?.startsWith("/") ? [join(XDG_RUNTIME_DIR, "containers/auth.json")] : []),
    ...(config === null ? [] : [join(config, "containers/auth.json")]),
    ...(docker === null ? [] : [join(docker, "config.json")]),
  ];
}

function refuse(file: string, reason: string): never {
  // No cause: messages of JSON.parse quote the text, and this one holds passwords.
  throw new BelljarError("config-invalid", `reading credentials: ${quoted(file)}: ${reason}`);
}

/** null when the file is absent. */
function readAuthFile(file: string): JsonObject | null {
  let text: string;
  try {
    const status = statSync(file);
    if (!status.isFile()) refuse(file, "is no regular file");
    if (status.size > maxFileBytes) refuse(file, `is larger than ${maxFileBytes} bytes`);
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof BelljarError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR" ? null : refuse(file, reasonOf(error));
  }
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    refuse(file, "is no JSON");
  }
  return isObject(value) ? value : refuse(file, "must be an object");
}

/** Keys under which a place may stand, the most specific first: its path cut shorter and shorter, then its host. */
function keysOf({ domain, path }: Place): readonly string[] {
  const parts = path.split("/");
  const paths = parts.map((_, index) => `${domain}/${parts.slice(0, parts.length - index).join("/")}`);
  const hosts = domain === defaultDomain ? [domain, `index.${domain}`, `registry-1.${domain}`] : [domain];
  return [...paths, ...hosts];
}

/** "https://host/v1/" -> "host": the spelling of old versions of Docker. */
function plainKey(key: string): string {
  const bare = key.replace(/^https?:\/\//, "");
  return bare.replace(/\/(?:v[12]\/?)?$/, "");
}

function entryFor(entries: unknown, place: Place): unknown {
  if (!isObject(entries)) return null;
  const byKey = new Map(Object.entries(entries).map(([key, value]) => [plainKey(key), value]));
  const key = keysOf(place).find((candidate) => byKey.has(candidate));
  return key === undefined ? null : byKey.get(key);
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** `auth` is base64 of "user:password"; only the first colon parts them. */
function fromEntry(value: unknown, file: string, place: Place): Credentials | null {
  if (!isObject(value)) return null;
  const { auth, username, password, identitytoken, registrytoken } = value as Readonly<Record<string, unknown>>;
  const source = file;
  if (text(registrytoken) !== "") return { kind: "registry-token", token: text(registrytoken), source };
  if (text(identitytoken) !== "") return { kind: "identity-token", token: text(identitytoken), source };
  if (text(auth) === "") return text(username) === "" ? null : checked({ username: text(username), password: text(password), source });
  const decoded = Buffer.from(text(auth), "base64").toString("utf8").replace(/\0+$/, "");
  const colon = decoded.indexOf(":");
  if (colon < 1) refuse(file, `auths: the value for ${quoted(place.domain)} is no base64 of "user:password"`);
  return checked({ username: decoded.slice(0, colon), password: decoded.slice(colon + 1), source });
}

/** A colon in the name would move the border between name and password (RFC 7617). */
function checked({
  username,
  password,
  source,
}: {
  readonly username: string;
  readonly password: string;
  readonly source: string;
}): Credentials {
  if (username.includes(":")) refuse(source, "a user name holds a colon, which HTTP cannot send");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 7617 forbids them in both
  if (/[\u0000-\u001f\u007f]/.test(username + password)) refuse(source, "a user name or a password holds a control character");
  return { kind: "password", username, password, source };
}

/**
 * Runs `docker-credential-NAME get`; the server's name goes in by stdin, so that nothing stands in the list of processes. What it starts may
 * hold its output open for ever, or write without end: neither is waited for.
 */
function runHelper(name: string, server: string, options: CredentialOptions): Promise<string> {
  const { environment, signal } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(`docker-credential-${name}`, ["get"], { stdio: ["pipe", "pipe", "ignore"], env: environment as NodeJS.ProcessEnv });
    let out = "";
    const end = (failure: Error | null): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
      child.stdout.destroy();
      child.kill("SIGKILL");
      child.unref();
      if (failure === null) resolve(out);
      else reject(failure);
    };
    const cancel = (): void => end(new Error("was cancelled"));
    const judge = (code: number | null, killedBy: string | null): void => {
      // What it prints on failure is the agreed sentence, or could be anything.
      const isNone = code !== 0 && /credentials not found/i.test(out);
      if (isNone) out = "";
      end(code === 0 || isNone ? null : new Error(killedBy === null ? `ended with status ${code}` : `was ended by ${killedBy}`));
    };
    const timer = setTimeout(() => end(new Error(`gave no answer in ${helperTimeoutMs / 1000} s`)), helperTimeoutMs);
    signal?.addEventListener("abort", cancel, { once: true });
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      out += chunk;
      if (out.length > maxHelperBytes) end(new Error(`printed more than ${maxHelperBytes} bytes`));
    });
    child.stdin.on("error", () => undefined);
    child.once("error", (error) => end(new Error(reasonOf(error))));
    child.once("close", judge);
    child.once("exit", (code, killedBy) => setTimeout(() => judge(code, killedBy), afterExitMs).unref());
    child.stdin.end(server);
    if (signal?.aborted) cancel();
  });
}

async function fromHelper(name: string, place: Place, options: CredentialOptions): Promise<Credentials | null> {
  const shown = `the credential helper ${quoted(`docker-credential-${name}`)}`;
  try {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) throw new Error("has an impossible name");
    const out = await runHelper(name, place.domain === defaultDomain ? dockerHubKey : place.domain, options);
    if (out.trim() === "") return null;
    const value = parseQuietly(out);
    if (!isObject(value)) throw new Error("printed no JSON object");
    const { Username: username, Secret: secret } = value as Readonly<Record<string, unknown>>;
    if (text(secret) === "") return null;
    if (text(username) === "<token>") return { kind: "identity-token", token: text(secret), source: shown };
    return checked({ username: text(username), password: text(secret), source: shown });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    if (error instanceof BelljarError) throw error;
    options.warn(`${shown} ${(error as Error).message}; going on without it`);
    return null;
  }
}

function parseQuietly(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/** The helper that a file names for a place: one of its own, or the one for all. */
function helperFor(
  { credHelpers, credsStore }: JsonObject & { readonly credHelpers?: unknown; readonly credsStore?: unknown },
  place: Place,
): string {
  return text(entryFor(credHelpers, place)) || text(credsStore);
}

/**
 * The credentials for an image's place, from the first of these that has some: belljar's `auth.json`, `$REGISTRY_AUTH_FILE`, those of Podman and
 * its kin, Docker's `config.json`; in each of them by a credential helper, else as they stand there. null without any.
 * Throws BelljarError `config-invalid` for a file that cannot be read. A helper that fails is warned about: most images need none.
 */
export async function findCredentials(place: Place, options: CredentialOptions): Promise<Credentials | null> {
  for (const file of authFiles(options.environment)) {
    const content = readAuthFile(file);
    if (content === null) continue;
    const helper = helperFor(content, place);
    const found =
      (helper === "" ? null : await fromHelper(helper, place, options)) ?? fromEntry(entryFor(content["auths"], place), file, place);
    if (found !== null) return found;
  }
  return null;
}
