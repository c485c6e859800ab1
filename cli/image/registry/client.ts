import type { Readable } from "node:stream";
import { gunzipSync } from "node:zlib";
import { BelljarError } from "../../../policy/errors.ts";
import { printable, quoted } from "../../output/terminal.ts";
import type { Credentials } from "../credentials.ts";
import { digestOf, isDigest, splitDigest } from "../digest.ts";
import { documentLimits } from "../manifest-json.ts";
import { acceptedMediaTypes, bareMediaType } from "../media-types.ts";
import type { Descriptor, Digest } from "../oci-types.ts";
import { createAuthorizer } from "./authorizer.ts";
import type { Endpoint } from "./endpoint.ts";
import type { NetworkLimits } from "./limits.ts";
import { type Followed, follow } from "./redirect.ts";
import { isTransientStatus, retryAfterMs, TransientError, type Waiting, withRetries } from "./retry.ts";
import { type Answer, headerOf, readBody, readErrorBody, type Transport } from "./transport.ts";
import { errorBodyText, isNotTls, networkError } from "./words.ts";

export interface Manifest {
  readonly bytes: Buffer;
  /** Computed. */
  readonly digest: Digest;
  /** As the registry says; null when it says nothing. */
  readonly mediaType: string | null;
}

export interface BlobSource {
  readonly body: Readable;
  /** Of the first byte that comes: 0 where the registry cannot continue, null where it says that nothing comes there. */
  readonly start: number | null;
}

/** One repository of one registry. */
export interface RegistryClient {
  readonly endpoint: Endpoint;
  /** Digest of what a tag means just now; null where the registry does not tell. */
  digest(tag: string): Promise<Digest | null>;
  /** Throws `image-not-found` when there is none. */
  manifest(tagOrDigest: string): Promise<Manifest>;
  /** One attempt: whoever reads the body must be ready for its end before time. Throws `image-invalid` when there is no such blob. */
  blob(descriptor: Descriptor, offset: number): Promise<BlobSource>;
  /** GET of anything below /v2/ with retries; the answer's status is below 400. */
  get(url: URL | string, scope?: string): Promise<Answer>;
}

export interface ClientOptions {
  readonly what: string;
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  readonly limits: NetworkLimits;
  readonly signal: AbortSignal;
  readonly credentials: () => Promise<Credentials | null>;
  readonly onWait: (waiting: Waiting) => void;
}

interface Wanted {
  readonly method: "GET" | "HEAD";
  /** Below the origin, or an address of this registry. */
  readonly path: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly scope?: string;
}

const now = (): number => performance.now();

/** A client of the distribution API v2. Every error names the host; all bytes of documents are checked before they are returned. */
export function createClient(options: ClientOptions): RegistryClient {
  const { what, endpoint, transport, limits } = options;
  const { host, repository } = endpoint;
  const pullScope = `repository:${repository}:pull`;
  const authorizer = createAuthorizer({ what, limits, transport, now, credentials: options.credentials });
  let schemes = endpoint.schemes;
  const shownHost = printable(host);
  const failed = (reason: string, cause?: unknown): BelljarError =>
    new BelljarError("registry-failed", `${what}: ${shownHost}: ${reason}`, { cause });

  /** One request to wherever it leads, by the first scheme that is spoken; that one is then used for good. */
  const sendOnce = async ({ method, path, headers = {} }: Wanted, authorization: string | null): Promise<Followed> => {
    for (const [index, scheme] of schemes.entries()) {
      try {
        const url = new URL(path, `${scheme}://${host}`);
        const all = { ...headers, ...(authorization === null ? {} : { authorization }) };
        const followed = await follow(transport, { method, url, headers: all }, { what, limits });
        schemes = [scheme];
        return followed;
      } catch (error) {
        if (index < schemes.length - 1 && isNotTls(error)) continue;
        throw networkError(what, host, error);
      }
    }
    throw failed("has no scheme to be reached by");
  };

  /** One request, and once more after 401. Whatever status comes then is the caller's to judge. */
  const exchange = async (wanted: Wanted): Promise<Followed> => {
    const scope = wanted.scope ?? pullScope;
    const sent = await authorizer.header(scope);
    const first = await sendOnce(wanted, sent);
    if (first.answer.status !== 401 || !first.isOwn) return first;
    const header = await authorizer.answer(first.answer, { scope, sent });
    await first.answer.discard();
    return sendOnce(wanted, header);
  };

  const refusal = async ({ answer, isOwn }: Followed): Promise<BelljarError | TransientError> => {
    if (isOwn && (answer.status === 401 || answer.status === 403)) return authorizer.denied(answer);
    const words = errorBodyText(await readErrorBody(answer, limits.maxErrorBytes));
    const { status } = answer;
    const where = isOwn ? "" : ` from ${printable(answer.url.host)}`;
    const reason = `status ${status}${where}${words === "" ? "" : `: ${words}`}`;
    if (!isTransientStatus(status)) return failed(reason);
    return new TransientError(failed(reason), retryAfterMs(answer.headers["retry-after"], Date.now()));
  };

  const succeeding = async (wanted: Wanted): Promise<Answer> => {
    const followed = await exchange(wanted);
    if (followed.answer.status < 400) return followed.answer;
    throw await refusal(followed);
  };

  const readManifest = async (tagOrDigest: string): Promise<Manifest> => {
    const followed = await exchange({
      method: "GET",
      path: `/v2/${repository}/manifests/${tagOrDigest}`,
      headers: { accept: acceptedMediaTypes.join(", ") },
    });
    const { answer } = followed;
    if (answer.status === 404) {
      await answer.discard();
      throw new BelljarError("image-not-found", `${what}: ${shownHost}: there is no such image`);
    }
    if (answer.status >= 400) throw await refusal(followed);
    if (answer.status !== 200) throw failed(`status ${answer.status} for a manifest`);
    const tooLarge = () => new BelljarError("image-invalid", `${what}: its manifest is larger than ${documentLimits.maxBytes} bytes`);
    let bytes: Buffer;
    try {
      bytes = decoded(await readBody(answer, { maxBytes: documentLimits.maxBytes, tooLarge }), answer, { what, tooLarge });
    } catch (error) {
      throw networkError(what, host, error);
    }
    const digest = checkDigest(bytes, tagOrDigest, answer, what);
    return { bytes, digest, mediaType: headerOf(answer.headers, "content-type") };
  };

  return {
    endpoint,
    digest: async (tag) => {
      const { answer } = await exchange({
        method: "HEAD",
        path: `/v2/${repository}/manifests/${tag}`,
        headers: { accept: acceptedMediaTypes.join(", ") },
      });
      await answer.discard();
      const digest = answer.status === 200 ? headerOf(answer.headers, "docker-content-digest") : null;
      return isDigest(digest) ? digest : null;
    },
    manifest: (tagOrDigest) => withRetries(options, () => readManifest(tagOrDigest)),
    blob: async (descriptor, offset) => {
      const { digest } = descriptor;
      const followed = await exchange({
        method: "GET",
        path: `/v2/${repository}/blobs/${digest}`,
        ...(offset === 0 ? {} : { headers: { range: `bytes=${offset}-` } }),
      });
      const { answer } = followed;
      if (answer.status === 404 && followed.isOwn) {
        await answer.discard();
        throw new BelljarError("image-invalid", `${what}: ${shownHost}: blob ${quoted(digest)}: is missing`);
      }
      if (answer.status === 416 && offset > 0) {
        await answer.discard();
        return { body: answer.body, start: null };
      }
      if (answer.status >= 400) throw await refusal(followed);
      const start = startOf(answer, descriptor, offset);
      if (typeof start === "number") return { body: answer.body, start };
      answer.body.destroy();
      throw failed(`blob ${quoted(digest)}: ${start}`);
    },
    get: (path, scope) => withRetries(options, () => succeeding({ method: "GET", path, ...(scope === undefined ? {} : { scope }) })),
  };
}

/** Nobody asked for a coding, but some proxies add one to what looks like text. */
function decoded(bytes: Buffer, answer: Answer, options: { readonly what: string; readonly tooLarge: () => BelljarError }): Buffer {
  const coding = (headerOf(answer.headers, "content-encoding") ?? "identity").trim().toLowerCase();
  if (coding === "identity" || coding === "") return bytes;
  const { what, tooLarge } = options;
  if (coding !== "gzip" && coding !== "x-gzip")
    throw new BelljarError(
      "registry-failed",
      `${what}: ${printable(answer.url.host)}: sends its manifest as ${quoted(coding)}, which nobody asked for`,
    );
  try {
    return gunzipSync(bytes, { maxOutputLength: documentLimits.maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
    throw new BelljarError("registry-failed", `${what}: ${printable(answer.url.host)}: sends its manifest as damaged gzip`, {
      cause: error,
    });
  }
}

/** The digest of what came: the one that was asked for, and the one that the registry claims, if it claims any. */
function checkDigest(bytes: Buffer, tagOrDigest: string, answer: Answer, what: string): Digest {
  const refuse = (claimed: Digest, found: Digest, who: string): never => {
    throw new BelljarError("image-invalid", `${what}: the manifest has digest ${found}, ${who} ${claimed}`);
  };
  const under = (digest: Digest): Digest => digestOf(bytes, splitDigest(digest).algorithm);
  const wanted = isDigest(tagOrDigest) ? tagOrDigest : null;
  if (wanted !== null && under(wanted) !== wanted) refuse(wanted, under(wanted), "and was asked for as");
  const claimed = headerOf(answer.headers, "docker-content-digest");
  if (isDigest(claimed) && under(claimed) !== claimed) refuse(claimed, under(claimed), `but ${printable(answer.url.host)} says`);
  return wanted ?? digestOf(bytes);
}

/** Offset of the first byte of an answer about a blob, or what is wrong with the answer. */
function startOf(answer: Answer, { size }: Descriptor, offset: number): number | string {
  const type = bareMediaType(headerOf(answer.headers, "content-type") ?? "");
  if (type === "text/html") return "is answered by a web page";
  // Bytes that a proxy has packed have another length; what they are is seen by their digest.
  const isPlain = headerOf(answer.headers, "content-encoding") === null;
  const length = isPlain ? headerOf(answer.headers, "content-length") : null;
  if (answer.status === 200) {
    return length === null || Number(length) === size ? 0 : `is announced with ${Number(length)} bytes instead of ${size}`;
  }
  if (answer.status !== 206 || offset === 0) return `is answered with status ${answer.status}`;
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headerOf(answer.headers, "content-range") ?? "");
  const [, first, last, all] = range ?? [];
  const fits = Number(first) === offset && Number(last) === size - 1 && (all === "*" || Number(all) === size);
  return range !== null && fits ? offset : "is continued at another place than asked for";
}
