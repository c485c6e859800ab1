import { BelljarError } from "../../../policy/errors.ts";
import { printable } from "../../output/terminal.ts";
import { innerAddressCode } from "./addresses.ts";
import { TransientError } from "./retry.ts";
import { proxyRefusalCode } from "./tunnel.ts";

/** A URL as messages show it: what follows the path may be a signature that opens the door. */
export const shownUrl = (url: URL): string => printable(`${url.origin}${url.pathname}`);

const maxShown = 300;
const short = (text: string): string => {
  const line = printable(text.replace(/\s+/g, " ").trim());
  return line.length > maxShown ? `${line.slice(0, maxShown)}…` : line;
};

/** The messages of an error document of the distribution specification; null when it is none. */
function documentText(text: string): string | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const errors: unknown = typeof value === "object" && value !== null ? (value as { readonly errors?: unknown }).errors : null;
  const list: readonly unknown[] = Array.isArray(errors) ? errors.slice(0, 3) : [value];
  const texts = list.flatMap((item) => {
    const { code, message, details, error_description: description } = (item ?? {}) as Readonly<Record<string, unknown>>;
    const found = [message, details, description, code].find((part) => typeof part === "string" && part !== "");
    return typeof found === "string" ? [found] : [];
  });
  return texts.length === 0 ? null : texts.join("; ");
}

/** What the body of an error says, in one line and without anything that steers a terminal; "" when it says nothing to people. */
export function errorBodyText(body: string): string {
  const text = documentText(body) ?? (/^\s*[<[{]/.test(body) ? "" : body);
  return short(text);
}

const networkReasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the name could not be resolved",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  ETIMEDOUT: "the connection timed out",
  EPROTO: "does not speak TLS properly",
  ERR_SSL_WRONG_VERSION_NUMBER: "does not speak TLS",
  UND_ERR_CONNECT_TIMEOUT: "no connection in time",
  UND_ERR_HEADERS_TIMEOUT: "no answer in time",
  UND_ERR_BODY_TIMEOUT: "stopped sending",
  UND_ERR_SOCKET: "the connection was closed",
  UND_ERR_HEADERS_OVERFLOW: "the head of the answer is too large",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "broke off in the middle",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is signed by itself",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by an authority that is not trusted here",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by an authority that is not trusted here",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is signed by an authority that is not trusted here",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another host",
  [innerAddressCode]: "leads to an address of this machine or its link, which no registry elsewhere may send us to",
};

const transientCodes: readonly string[] = [
  ...["ECONNRESET", "EPIPE", "EAI_AGAIN", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"],
  ...[
    "UND_ERR_CONNECT_TIMEOUT",
    "UND_ERR_HEADERS_TIMEOUT",
    "UND_ERR_BODY_TIMEOUT",
    "UND_ERR_SOCKET",
    "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  ],
];

/** Code of what really went wrong: connecting to several addresses fails with all of their errors at once. */
export function networkCode(error: unknown): string {
  const { code, errors, cause } = error as NodeJS.ErrnoException & { readonly errors?: readonly unknown[]; readonly cause?: unknown };
  const inner = errors?.at(-1) ?? (code === undefined || code === "UND_ERR_ABORTED" ? cause : undefined);
  return inner === undefined ? (code ?? "") : networkCode(inner);
}

const isCertificateError = (code: string): boolean => /CERT|SIGNATURE/.test(code);

/** Whether somebody answered who does not speak TLS (or nobody did): never when a certificate was refused. */
export function isNotTls(error: unknown): boolean {
  const code = networkCode(error);
  if (isCertificateError(code)) return false;
  return /^(?:EPROTO|ECONNREFUSED|ECONNRESET|EPIPE|UND_ERR_SOCKET)$/.test(code) || code.startsWith("ERR_SSL_");
}

const certificateHint =
  'registries."HOST".certificateAuthority in the configuration names a file of further authorities, see docs/registry.md';

/** A failed exchange with `host` as the error that is shown: transient where another attempt may help. */
export function networkError(what: string, host: string, error: unknown): BelljarError | TransientError {
  if (error instanceof BelljarError || error instanceof TransientError) return error;
  const code = networkCode(error);
  const text = (error as Error).message;
  const reason = code === proxyRefusalCode ? text : (networkReasons[code] ?? (code || short(text)));
  const failure = new BelljarError("registry-failed", `${what}: ${printable(host)}: ${reason}`, {
    cause: error,
    ...(isCertificateError(code) ? { hint: certificateHint.replace("HOST", host) } : {}),
  });
  return transientCodes.includes(code) ? new TransientError(failure) : failure;
}
