import { BelljarError } from "../../../policy/errors.ts";
import { printable } from "../../output/terminal.ts";
import { parseJson } from "../manifest-json.ts";
import { isTag } from "../reference.ts";
import type { RegistryClient } from "./client.ts";
import type { NetworkLimits } from "./limits.ts";
import { nextLink } from "./link.ts";
import { readBody } from "./transport.ts";
import { networkError } from "./words.ts";

const pageSize = 1000;
const maxPageBytes = 4 * 1024 * 1024;

export interface ListOptions {
  readonly what: string;
  readonly limits: NetworkLimits;
  /** Names of a list that is enough; fewer pages are asked for then. */
  readonly enough?: number;
}

/** A page of a list, and the address of the next one. */
async function readPage(
  client: RegistryClient,
  url: URL | string,
  options: ListOptions & { readonly key: string; readonly scope?: string },
) {
  const { what, key } = options;
  const answer = await client.get(url, options.scope);
  const tooLarge = () => new BelljarError("registry-failed", `${what}: ${answer.url.host}: a page is larger than ${maxPageBytes} bytes`);
  let bytes: Buffer;
  try {
    bytes = await readBody(answer, { maxBytes: maxPageBytes, tooLarge });
  } catch (error) {
    throw networkError(what, answer.url.host, error);
  }
  const names = (parseJson(bytes, what, { maxBytes: maxPageBytes }) as Readonly<Record<string, unknown>> | null)?.[key] ?? [];
  if (!Array.isArray(names)) throw new BelljarError("registry-failed", `${what}: ${answer.url.host}: sends no list of ${key}`);
  return { answer, names: names.filter((name): name is string => typeof name === "string"), next: nextLink(answer.headers["link"]) };
}

/**
 * All pages of a list. The next page is whatever the Link header leads to, seen from the page before; another origin is not asked, since the
 * list is this registry's to give, and a page is not asked for twice.
 */
async function readList(client: RegistryClient, path: string, options: ListOptions & { readonly key: string; readonly scope?: string }) {
  const { what, limits, enough = Number.POSITIVE_INFINITY } = options;
  const refuse = (reason: string): never => {
    throw new BelljarError("registry-failed", `${what}: ${printable(client.endpoint.host)}: ${reason}`);
  };
  const names: string[] = [];
  const seen = new Set<string>();
  let url: URL | string = path;
  for (let pages = 0; pages < limits.maxTagPages; pages++) {
    const page = await readPage(client, url, options);
    names.push(...page.names);
    seen.add(page.answer.url.href);
    if (names.length > limits.maxTags) refuse(`lists more than ${limits.maxTags} ${options.key}`);
    if (page.next === null || names.length >= enough) return names;
    const base = page.answer.url.href;
    if (!URL.canParse(page.next, base)) return refuse("names a next page that is no address");
    const next = new URL(page.next, base);
    if (next.origin !== page.answer.url.origin) return refuse("names a next page on another server");
    // A registry that does not advance has said all it will say.
    if (seen.has(next.href)) return names;
    url = next;
  }
  return refuse(`lists more than ${limits.maxTagPages} pages`);
}

/** The tags of a repository, without what is none. Throws BelljarError. */
export async function listTags(client: RegistryClient, options: ListOptions): Promise<readonly string[]> {
  const path = `/v2/${client.endpoint.repository}/tags/list?n=${pageSize}`;
  return [...new Set((await readList(client, path, { ...options, key: "tags" })).filter(isTag))];
}

/** The repositories of a registry that tells; most public ones do not. Throws BelljarError. */
export async function listRepositories(client: RegistryClient, options: ListOptions): Promise<readonly string[]> {
  const names = await readList(client, `/v2/_catalog?n=${pageSize}`, { ...options, key: "repositories", scope: "registry:catalog:*" });
  return [...new Set(names)];
}
