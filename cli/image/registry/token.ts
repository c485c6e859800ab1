import { BelljarError } from "../../../policy/errors.ts";
import { quoted } from "../../output/terminal.ts";
import type { Credentials } from "../credentials.ts";
import { isLoopbackHost } from "./addresses.ts";
import type { Challenge } from "./challenge.ts";
import type { NetworkLimits } from "./limits.ts";
import { follow, targetProblem } from "./redirect.ts";
import { isTransientStatus, retryAfterMs, TransientError } from "./retry.ts";
import { type Answer, readBody, readErrorBody, type Transport } from "./transport.ts";
import { errorBodyText, networkError, shownUrl } from "./words.ts";

/** A token service, as a challenge names it. */
export interface TokenService {
  /** The registry that named it. */
  readonly registry: URL;
  readonly realm: URL;
  readonly service: string | null;
  /** As the challenge says; null when it says none. */
  readonly scope: string | null;
}

export interface Token {
  /** Value of the header Authorization. */
  readonly header: string;
  readonly expiresAtMs: number;
}

export interface TokenOptions {
  readonly what: string;
  readonly limits: NetworkLimits;
  readonly transport: Transport;
  readonly credentials: Credentials | null;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

const defaultLifetimeS = 60;
const maxLifetimeS = 86_400;

/** RFC 7617, with UTF-8. */
export const basicHeader = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;

/** A registry-chosen text as a header: nothing that could end it early. */
export const isHeaderSafe = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

/**
 * The token service of a challenge. The realm is whatever the registry claims, so it is held to the same rules as a redirect: no plain HTTP but on
 * this machine, no address of this machine or its link named from elsewhere. Throws BelljarError `registry-failed`.
 */
export function tokenService(
  challenge: Challenge,
  registry: URL,
  options: { readonly what: string; readonly transport: Transport },
): TokenService {
  const { what, transport } = options;
  const refuse = (reason: string): never => {
    throw new BelljarError("registry-failed", `${what}: ${registry.host}: asks for a token from ${reason}`);
  };
  const text = challenge.parameters.get("realm") ?? "";
  if (text === "") refuse("nowhere: its challenge names no realm");
  let realm: URL;
  try {
    realm = new URL(text);
  } catch {
    return refuse(`${quoted(text.slice(0, 200))}, which is no address`);
  }
  realm.hash = "";
  const problem = targetProblem(realm, registry, transport);
  if (problem !== null) refuse(`${quoted(shownUrl(realm))}, which ${problem}`);
  return { registry, realm, service: challenge.parameters.get("service") ?? null, scope: challenge.parameters.get("scope") || null };
}

/** Credentials travel encrypted, or on this machine. */
export const mayCarrySecrets = (url: URL): boolean => url.protocol === "https:" || isLoopbackHost(url.hostname);

function tokenRequest(service: TokenService, scope: string, credentials: Credentials | null) {
  const url = new URL(service.realm);
  const scopes = scope.split(" ").filter((part) => part !== "");
  if (credentials?.kind === "identity-token") {
    const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: credentials.token, client_id: "belljar" });
    if (service.service !== null) form.set("service", service.service);
    form.set("scope", scopes.join(" "));
    const headers: Record<string, string> = { "content-type": "application/x-www-form-urlencoded" };
    return { method: "POST" as const, url, headers, body: form.toString() };
  }
  if (service.service !== null) url.searchParams.append("service", service.service);
  for (const part of scopes) url.searchParams.append("scope", part);
  const headers: Record<string, string> =
    credentials?.kind === "password" ? { authorization: basicHeader(credentials.username, credentials.password) } : {};
  return { method: "GET" as const, url, headers };
}

/** Asks a token service for a token (distribution, "Token Authentication"). Throws BelljarError or TransientError. */
export async function fetchToken(service: TokenService, scope: string, options: TokenOptions): Promise<Token> {
  const { what, limits, transport, now } = options;
  const credentials = mayCarrySecrets(service.realm) ? options.credentials : null;
  const doing = `${what}: getting a token from ${shownUrl(service.realm)}`;
  const askedAtMs = now();
  let answer: Answer;
  try {
    ({ answer } = await follow(transport, tokenRequest(service, service.scope ?? scope, credentials), {
      what: doing,
      limits,
      asker: service.registry,
    }));
  } catch (error) {
    throw networkError(doing, service.realm.host, error);
  }
  if (answer.status !== 200) throw await refusal(answer, doing, { limits, credentials });
  const tooLarge = () => new BelljarError("registry-failed", `${doing}: the answer is larger than ${limits.maxTokenBytes} bytes`);
  let bytes: Buffer;
  try {
    bytes = await readBody(answer, { maxBytes: limits.maxTokenBytes, tooLarge });
  } catch (error) {
    throw networkError(doing, service.realm.host, error);
  }
  return readToken(bytes.toString("utf8"), doing, askedAtMs);
}

/** Clocks differ, so `issued_at` says nothing here: a token lives from when it was asked for, a tenth less. */
function readToken(body: string, doing: string, askedAtMs: number): Token {
  const refuse = (reason: string): never => {
    throw new BelljarError("registry-failed", `${doing}: ${reason}`);
  };
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // Its message would quote the token.
    return refuse("the answer is no JSON");
  }
  const { token, access_token: accessToken, expires_in: expiresIn } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const found = [token, accessToken].find((text): text is string => typeof text === "string" && text !== "");
  if (found === undefined) return refuse("the answer holds no token");
  if (!isHeaderSafe(found)) return refuse("the token holds characters that no header can");
  const lifetimeS = typeof expiresIn === "number" && expiresIn > 0 ? Math.min(expiresIn, maxLifetimeS) : defaultLifetimeS;
  return { header: `Bearer ${found}`, expiresAtMs: askedAtMs + lifetimeS * 900 };
}

async function refusal(
  answer: Answer,
  doing: string,
  options: { readonly limits: NetworkLimits; readonly credentials: Credentials | null },
): Promise<BelljarError | TransientError> {
  const { limits, credentials } = options;
  const words = errorBodyText(await readErrorBody(answer, limits.maxErrorBytes));
  const message = `${doing}: status ${answer.status}${words === "" ? "" : `: ${words}`}`;
  if (answer.status === 401 || answer.status === 403)
    return new BelljarError("registry-denied", message, {
      hint: credentials === null ? undefined : `the credentials from ${credentials.source} were not accepted`,
    });
  const failure = new BelljarError("registry-failed", message);
  if (!isTransientStatus(answer.status)) return failure;
  return new TransientError(failure, retryAfterMs(answer.headers["retry-after"], Date.now()));
}
