import { readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { rootCertificates } from "node:tls";
import type { Agent, Dispatcher } from "undici";
import type { BelljarError } from "../../../policy/errors.ts";
import { version } from "../../commands/version.ts";
import { fileError } from "../../run/files.ts";
import { outerLookup } from "./addresses.ts";
import type { RegistriesConfig, RegistrySettings } from "./config.ts";
import type { NetworkLimits } from "./limits.ts";
import { type Environment, proxyFor } from "./proxy.ts";
import { proxyHeaders, proxyRefusal, tunnelConnector } from "./tunnel.ts";

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

  const dispatcherFor = async (url: URL, outerOnly: boolean, proxy: URL | null): Promise<Dispatcher> => {
    // Much code that nothing but a pull needs. Awaited first: from here on nobody else makes the same dispatcher.
    const { Agent, buildConnector } = await import("undici");
    const settings = settingsOf(url.host);
    const isTunnel = proxy !== null && url.protocol === "https:";
    const key = JSON.stringify([settings.transport, settings.certificateAuthority, outerOnly, isTunnel && proxy.href]);
    const known = dispatchers.get(key);
    if (known !== undefined) return known;
    const connect = connectionOptions(settings, outerOnly, limits);
    const made: Agent = new Agent({
      headersTimeout: limits.answerTimeoutMs,
      bodyTimeout: limits.idleTimeoutMs,
      connections: limits.parallel + 1,
      connect: isTunnel ? tunnelConnector(proxy, { secure: buildConnector(connect), timeoutMs: limits.connectTimeoutMs }) : connect,
    });
    dispatchers.set(key, made);
    return made;
  };

  /** Without a tunnel, a proxy is asked for the whole address: many give tunnels to port 443 only. */
  const sendRaw = async (exchange: Exchange, late: AbortSignal): Promise<Dispatcher.ResponseData> => {
    const { method, url, headers, body, outerOnly } = exchange;
    const proxy = proxyFor(url, environment);
    const plainProxy = url.protocol === "http:" ? proxy : null;
    const dispatcher = await (plainProxy === null ? dispatcherFor(url, outerOnly, proxy) : dispatcherFor(plainProxy, false, null));
    const answer = await dispatcher.request({
      origin: plainProxy === null ? url.origin : plainProxy.origin,
      path: plainProxy === null ? url.pathname + url.search : url.href,
      method,
      headers: {
        "user-agent": `belljar/${version}`,
        "accept-encoding": "identity",
        ...headers,
        ...(plainProxy === null ? {} : { host: url.host, ...proxyHeaders(plainProxy) }),
      },
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.any([signal, late]),
    });
    // Whoever does not read a body must not be ended by its errors.
    answer.body.on("error", () => undefined);
    if (proxy === null || answer.statusCode !== 407) return answer;
    answer.body.destroy();
    throw proxyRefusal(answer.statusCode);
  };

  return {
    settingsOf,
    send: async (exchange) => {
      const late = new AbortController();
      const error = Object.assign(new Error("no answer"), { code: "UND_ERR_HEADERS_TIMEOUT" });
      // The last resort, for whatever undici would do again and again.
      const timer = setTimeout(() => late.abort(error), limits.connectTimeoutMs + limits.answerTimeoutMs);
      const { statusCode, headers, body } = await sendRaw(exchange, late.signal).finally(() => clearTimeout(timer));
      return {
        status: statusCode,
        headers,
        url: exchange.url,
        body,
        discard: () => body.dump({ limit: discardBytes, signal }).catch(() => undefined),
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
