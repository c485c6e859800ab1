import { isIPv6 } from "node:net";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { isDigest } from "./digest-text.ts";
import type { Digest, Reference } from "./oci-types.ts";

/** Where a name without a registry leads. */
export const defaultDomain = "docker.io";
const officialPrefix = "library/";
const defaultTag = "latest";
/** Of domain and path together (distribution reference grammar). */
const maxNameLength = 255;
/** Name, tag and the longest digest; whatever is longer is not worth looking at. */
const maxTextLength = 600;

const pathComponent = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const pathPattern = new RegExp(`^${pathComponent}(?:/${pathComponent})*$`);
const tagPattern = /^\w[\w.-]{0,127}$/;
const domainComponent = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
const domainPattern = new RegExp(`^(?:(${domainComponent}(?:\\.${domainComponent})*)|\\[([0-9a-f:.]+)\\])(?::([1-9][0-9]{0,4}))?$`);

/** Other tools' words for where an image lies. Docker's own image is named `docker`, so `docker:dind` is none of these. */
const transports = /^(?:docker:\/\/|(?:oci|oci-archive|docker-archive|docker-daemon|dir|containers-storage|ostree|sif|tarball):)/;

function refuse(text: string, reason: string, hint?: string): never {
  const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text;
  throw new BelljarError("image-reference", `reading an image reference: ${quoted(shown)}: ${reason}`, { hint });
}

/**
 * Whether a text is a registry's host, with a port or not, that reads the same to a person and to the URL parser: "127.1", "0x7f.1" and
 * "2130706433" are one machine under names that look like others, and no two spellings may have two sets of credentials.
 */
export function isDomain(text: string): boolean {
  const [, , ipv6, port] = domainPattern.exec(text) ?? [];
  if (!domainPattern.test(text) || Number(port ?? 0) > 65535) return false;
  if (ipv6 !== undefined && !isIPv6(ipv6)) return false;
  try {
    const { hostname } = new URL(`https://${text}`);
    return hostname === text.slice(0, port === undefined ? undefined : -(port.length + 1));
  } catch {
    return false;
  }
}

export const isRepositoryPath = (text: string): boolean => pathPattern.test(text) && text.length <= maxNameLength;
export const isTag = (text: string): boolean => tagPattern.test(text);

/** Splits "name:tag@digest". A colon before the last slash belongs to a port. */
function split(text: string): { readonly name: string; readonly tag: string | null; readonly digest: string | null } {
  const at = text.indexOf("@");
  const rest = at === -1 ? text : text.slice(0, at);
  const digest = at === -1 ? null : text.slice(at + 1);
  const colon = rest.lastIndexOf(":");
  if (colon <= rest.lastIndexOf("/")) return { name: rest, tag: null, digest };
  return { name: rest.slice(0, colon), tag: rest.slice(colon + 1), digest };
}

/** The first part of a name is a registry when it looks like a host: a dot, a port, or "localhost". */
function splitDomain(name: string): { readonly domain: string; readonly path: string } {
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  if (!/[.:[]/.test(first) && first !== "localhost") return withOfficial(defaultDomain, name);
  const domain = first.toLowerCase();
  return withOfficial(domain === `index.${defaultDomain}` ? defaultDomain : domain, name.slice(slash + 1));
}

/** On Docker Hub, and there only, a name of one part is an official image. */
function withOfficial(domain: string, path: string): { readonly domain: string; readonly path: string } {
  return { domain, path: domain === defaultDomain && path !== "" && !path.includes("/") ? `${officialPrefix}${path}` : path };
}

function digestPart(text: string, digest: string): Digest {
  if (isDigest(digest)) return digest;
  return refuse(
    text,
    "what follows the @ is no digest",
    "a digest is sha256: and 64 hexadecimal digits, or sha512: and 128, in lower case",
  );
}

/**
 * Reads a reference as people write it: "alpine", "debian:12", "ghcr.io/owner/name@sha256:…", "localhost:5000/x". Without a registry it is
 * Docker Hub's; without a tag and a digest it is `latest`. With both, the digest wins and the tag is kept for display.
 * The grammar is that of github.com/distribution/reference, and nothing else passes: what is returned is safe in a URL.
 * Throws BelljarError `image-reference`.
 */
export function parseReference(text: string): Reference {
  if (text === "") refuse(text, "is empty");
  if (text.length > maxTextLength) refuse(text, `is longer than ${maxTextLength} characters`);
  if (text.includes("://") || transports.test(text)) {
    const bare = text.replace(/^docker:\/\//, "");
    const hint = text.startsWith("docker://") ? `write ${bare}` : "for archives and layouts: belljar image load -i FILE";
    refuse(text, "names a transport, and a reference has none", hint);
  }
  const { name, tag, digest } = split(text);
  const { domain, path } = splitDomain(name);
  if (!isDomain(domain)) refuse(text, `${quoted(domain)} is no host name with an optional port`);
  if (path === "") refuse(text, "has no name of an image");
  if (!pathPattern.test(path) && pathPattern.test(path.toLowerCase()))
    refuse(text, "the name has upper-case letters", `write ${text.replace(name, name.toLowerCase())}`);
  if (!pathPattern.test(path)) refuse(text, "the name is not made of lower-case letters, digits and single separators (. _ __ - /)");
  if (/^library\/[0-9a-f]{64}$/.test(path) && domain === defaultDomain && name !== path)
    refuse(text, "is an id and no name", "write sha256: before it, or the name of the image");
  if (domain.length + 1 + path.length > maxNameLength) refuse(text, `the name is longer than ${maxNameLength} characters`);
  if (tag !== null && !isTag(tag)) refuse(text, `${quoted(tag.slice(0, 40))} is no tag (letters, digits, _ . -, at most 128)`);
  const checked = digest === null ? null : digestPart(text, digest);
  return { domain, path, tag: tag ?? (checked === null ? defaultTag : null), digest: checked };
}

/** The full form, which means the same everywhere: "docker.io/library/alpine:latest". `parseReference` gives the same reference back. */
export function formatReference({ domain, path, tag, digest }: Reference): string {
  return `${domain}/${path}${tag === null ? "" : `:${tag}`}${digest === null ? "" : `@${digest}`}`;
}

/** The short form, as people write it: "alpine:latest", "owner/name:1", "ghcr.io/owner/name:1". `parseReference` gives the same reference back. */
export function familiarReference(reference: Reference): string {
  const full = formatReference(reference);
  if (reference.domain !== defaultDomain) return full;
  const path = full.slice(defaultDomain.length + 1);
  const short = path.startsWith(officialPrefix) ? path.slice(officialPrefix.length) : path;
  // "docker.io/library/localhost/x" must not become a registry.
  return [short, path].find((text) => sameReference(text, full)) ?? full;
}

function sameReference(short: string, full: string): boolean {
  try {
    return formatReference(parseReference(short)) === full;
  } catch {
    return false;
  }
}
