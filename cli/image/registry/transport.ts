import { readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { rootCertificates } from "node:tls";
import { Agent, type Dispatcher, ProxyAgent, request } from "undici";
import type { BelljarError } from "../../../policy/errors.ts";
import { version } from "../../commands/version.ts";
import { fileError } from "../../run/files.ts";
import { outerLookup } from "./addresses.ts";
import type { RegistriesConfig, RegistrySettings } from "./config.ts";
import type { NetworkLimits } from "./limits.ts";
import { type Environment, proxyFor } from "./proxy.ts";

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** One request; what it leads to is the caller's to follow. */
export interface Exchange {
  readonly method: "GET" | "HEAD" | "POST";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Refuse to connect to addresses of this machine and its link. */
  readonly outerOnly: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly url: URL;
  readonly body: Readable;
  /** Throws away what is left of the body, so that the connection can serve again. */
  discard(): Promise<void>;
}

/** Sends requests by HTTP/1.1. Keeps connections, until `close`. */
export interface Transport {
  send(exchange: Exchange): Promise<Answer>;
  settingsOf(host: string): RegistrySettings;
  close(): Promise<void>;
}

export interface TransportOptions {
  readonly registries: RegistriesConfig;
  readonly environment: Environment;
  readonly limits: NetworkLimits;
  /** Ends every exchange. */
  readonly signal: AbortSignal;
}

const discardBytes = 64 * 1024;

/** The certificates that Node trusts, and those of a file. */
function authorities(file: string): string[] {
  try {
    return [...rootCertificates, readFileSync(file, "utf8")];
  } catch (error) {
    throw fileError("config-invalid", "reading the certificates of a registry", file, error);
  }
}

/** Header values as undici gives them, or the first one. */
export const headerOf = (headers: Headers, name: string): string | null => {
  const value = headers[name];
  return (typeof value === "string" ? value : value?.[0]) ?? null;
};

function connectionOptions(settings: RegistrySettings, outerOnly: boolean, limits: NetworkLimits) {
  return {
    timeout: limits.connectTimeoutMs,
    ...(settings.transport === "https-unverified" ? { rejectUnauthorized: false } : {}),
    ...(settings.certificateAuthority === undefined ? {} : { ca: authorities(settings.certificateAuthority) }),
    ...(outerOnly ? { lookup: outerLookup } : {}),
  };
}

/** Throws BelljarError `config-invalid` when a request needs a setting that is wrong; network errors are undici's and Node's own. */
export function createTransport(options: TransportOptions): Transport {
  const { registries, environment, limits, signal } = options;
  const dispatchers = new Map<string, Dispatcher>();
  const settingsOf = (host: string): RegistrySettings => registries[host] ?? {};

  const dispatcherFor = (url: URL, outerOnly: boolean): Dispatcher => {
    const settings = settingsOf(url.host);
    const proxy = proxyFor(url, environment);
    const key = JSON.stringify([settings.transport, settings.certificateAuthority, outerOnly, proxy?.href]);
    const known = dispatchers.get(key);
    if (known !== undefined) return known;
    const connect = connectionOptions(settings, outerOnly, limits);
    const common = { headersTimeout: limits.answerTimeoutMs, bodyTimeout: limits.idleTimeoutMs, connections: limits.parallel + 1 };
    const made =
      proxy === null
        ? new Agent({ ...common, connect })
        : new ProxyAgent({
            ...common,
            uri: proxy.href,
            // Many proxies tunnel to port 443 only.
            proxyTunnel: false,
            requestTls: { ...connect },
            proxyTls: { timeout: limits.connectTimeoutMs },
          });
    dispatchers.set(key, made);
    return made;
  };

  return {
    settingsOf,
    send: async ({ method, url, headers, body, outerOnly }) => {
      const answer = await request(url, {
        dispatcher: dispatcherFor(url, outerOnly),
        method,
        headers: { "user-agent": `belljar/${version}`, "accept-encoding": "identity", ...headers },
        ...(body === undefined ? {} : { body }),
        signal,
      });
      // Whoever does not read a body must not be ended by its errors.
      answer.body.on("error", () => undefined);
      return {
        status: answer.statusCode,
        headers: answer.headers,
        url,
        body: answer.body,
        discard: () => answer.body.dump({ limit: discardBytes, signal }).catch(() => undefined),
      };
    },
    close: async () => {
      await Promise.all([...dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
    },
  };
}

/** All of a body, up to a limit. Throws `tooLarge` beyond it, before it is held; network errors as they are. */
export async function readBody(
  answer: Answer,
  limits: { readonly maxBytes: number; readonly tooLarge: () => BelljarError },
): Promise<Buffer> {
  const { maxBytes, tooLarge } = limits;
  const chunks: Buffer[] = [];
  let have = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    have += chunk.length;
    if (have > maxBytes) {
      answer.body.destroy();
      throw tooLarge();
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The start of a body as text, for an error message. */
export async function readErrorBody(answer: Answer, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let have = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      have += chunk.length;
      if (have >= maxBytes) break;
    }
  } catch {
    // The status says enough.
  }
  return Buffer.concat(chunks).subarray(0, maxBytes).toString("utf8");
}
