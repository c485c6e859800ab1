import { BelljarError } from "../../../policy/errors.ts";
import { printable, quoted } from "../../output/terminal.ts";
import type { Credentials } from "../credentials.ts";
import { bestChallenge, type Challenge, parseChallenges } from "./challenge.ts";
import {
  basicHeader,
  fetchToken,
  isHeaderSafe,
  mayCarrySecrets,
  type Token,
  type TokenOptions,
  type TokenService,
  tokenService,
} from "./token.ts";
import { type Answer, readErrorBody } from "./transport.ts";
import { errorBodyText } from "./words.ts";

export interface AuthorizerOptions extends Omit<TokenOptions, "credentials"> {
  /** Asked once, and only when the registry wants somebody. */
  readonly credentials: () => Promise<Credentials | null>;
}

/** Knows how one registry wants to be talked to, and keeps its tokens. Several requests may use it at a time. */
export interface Authorizer {
  /** Value of the header Authorization for a scope ("repository:library/alpine:pull"); null for none, or none yet. */
  header(scope: string): Promise<string | null>;
  /**
   * After 401 for a request that was sent with `sent`: the value to try once more with.
   * Throws BelljarError `registry-denied` when there is nothing new to try, `registry-failed` for a challenge that cannot be met.
   */
  answer(refused: Answer, options: { readonly scope: string; readonly sent: string | null }): Promise<string>;
  /** What to say about an answer that is final: `registry-denied`, with what can be done. */
  denied(refused: Answer): Promise<BelljarError>;
}

/** What the last challenge said. */
type Method = { readonly kind: "header"; readonly value: string } | { readonly kind: "token"; readonly service: TokenService };

export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { what, now } = options;
  let method: Method | null = null;
  let found: Promise<Credentials | null> | null = null;
  const tokens = new Map<string, Promise<Token>>();

  /** Those that may be sent to this registry; null over plain HTTP to another machine. */
  const credentialsFor = (registry: URL): Promise<Credentials | null> => {
    if (!mayCarrySecrets(registry)) return Promise.resolve(null);
    found ??= options.credentials();
    return found;
  };

  const freshToken = (service: TokenService, scope: string): Promise<Token> => {
    const coming = credentialsFor(service.registry).then((credentials) => fetchToken(service, scope, { ...options, credentials }));
    tokens.set(scope, coming);
    // A failure is for whoever waits, and the next request asks anew.
    coming.catch(() => tokens.get(scope) === coming && tokens.delete(scope));
    return coming;
  };

  /** The kept token, unless it has run out. */
  const tokenFor = async (service: TokenService, scope: string): Promise<Token> => {
    const kept = tokens.get(scope);
    if (kept === undefined) return freshToken(service, scope);
    const token = await kept;
    if (now() < token.expiresAtMs) return token;
    // Somebody else may have asked meanwhile.
    return tokens.get(scope) === kept ? freshToken(service, scope) : tokenFor(service, scope);
  };

  const methodFor = async (challenge: Challenge, registry: URL): Promise<Method | null> => {
    const credentials = await credentialsFor(registry);
    if (credentials?.kind === "registry-token") return { kind: "header", value: `Bearer ${safe(credentials)}` };
    if (challenge.scheme === "bearer") return { kind: "token", service: tokenService(challenge, registry, options) };
    if (credentials?.kind !== "password") return null;
    return { kind: "header", value: basicHeader(credentials.username, credentials.password) };
  };

  const safe = ({ token, source }: Extract<Credentials, { readonly kind: "registry-token" }>): string => {
    if (isHeaderSafe(token)) return token;
    throw new BelljarError("config-invalid", `reading credentials: ${quoted(source)}: a token holds characters that no header can`);
  };

  const denied = async (refused: Answer): Promise<BelljarError> => {
    const registry = refused.url;
    const words = errorBodyText(await readErrorBody(refused, options.limits.maxErrorBytes));
    const credentials = await credentialsFor(registry);
    const hint = !mayCarrySecrets(registry)
      ? "credentials are sent over HTTPS only, see docs/registry.md"
      : credentials === null
        ? `there are no credentials for it: docker login or podman login ${printable(registry.host)} leaves some that belljar reads`
        : `the credentials from ${credentials.source} were not accepted`;
    const message = `${what}: ${printable(registry.host)}: access denied, or there is no such image${words === "" ? "" : `: ${words}`}`;
    return new BelljarError("registry-denied", message, { hint });
  };

  return {
    denied,
    header: async (scope) => {
      if (method === null) return null;
      return method.kind === "header" ? method.value : (await tokenFor(method.service, scope)).header;
    },
    answer: async (refused, { scope, sent }) => {
      const challenges = parseChallenges(refused.headers["www-authenticate"]);
      const challenge = bestChallenge(challenges);
      if (challenge === null) {
        const schemes = challenges.map(({ scheme }) => quoted(scheme)).join(", ");
        const reason = schemes === "" ? "wants to know who asks, but not how" : `wants ${schemes}, which belljar cannot do`;
        throw new BelljarError("registry-denied", `${what}: ${printable(refused.url.host)}: ${reason}`);
      }
      method = await methodFor(challenge, refused.url);
      if (method === null) throw await denied(refused);
      if (method.kind === "header") {
        if (method.value === sent) throw await denied(refused);
        return method.value;
      }
      // Another request may have got a newer token since this one was sent.
      const kept = await tokens.get(scope)?.catch(() => null);
      if (kept != null && kept.header !== sent) return kept.header;
      return (await freshToken(method.service, scope)).header;
    },
  };
}
