import { BlockList, isIP } from "node:net";
import { BelljarError } from "../../../policy/errors.ts";
import { bareHost, isLoopbackHost } from "./addresses.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Lower case wins, as in curl; an empty value is no value. */
const variable = (environment: Environment, name: string): string | null =>
  environment[name.toLowerCase()] || environment[name.toUpperCase()] || null;

const portOf = (url: URL): string => url.port || (url.protocol === "https:" ? "443" : "80");

function matchesNet(host: string, net: string): boolean {
  const [address = "", prefix = ""] = net.split("/");
  const kind = isIP(address) === 6 ? "ipv6" : "ipv4";
  if (isIP(host) === 0 || isIP(address) === 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > (kind === "ipv6" ? 128 : 32)) return false;
  const list = new BlockList();
  list.addSubnet(address, Number(prefix), kind);
  return list.check(host, isIP(host) === 6 ? "ipv6" : "ipv4");
}

/** One entry of NO_PROXY: a host with its subdomains, an address, a net, each with or without a port, or `*`. */
function matchesEntry(url: URL, entry: string): boolean {
  if (entry === "*") return true;
  const host = bareHost(url.hostname);
  if (entry.includes("/")) return matchesNet(host, entry);
  const [, bracketed, plain = "", port] = /^(?:\[([^\]]*)\]|([^:]*|[^:]*:[^:]*:.*))(?::(\d+))?$/.exec(entry) ?? [];
  if (port !== undefined && port !== portOf(url)) return false;
  const name = (bracketed ?? plain).toLowerCase().replace(/^\*?\./, "");
  return name !== "" && (host === name || host.endsWith(`.${name}`));
}

/**
 * The proxy for a URL by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in either case; null for a direct connection. A loopback
 * host is never asked through a proxy, which would find itself there.
 * Throws BelljarError `config-invalid` for a value that is no URL of a proxy; its text is not shown, since it may hold a password.
 */
export function proxyFor(url: URL, environment: Environment): URL | null {
  if (isLoopbackHost(url.hostname)) return null;
  const name = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const text = variable(environment, name) ?? variable(environment, "ALL_PROXY");
  if (text === null) return null;
  const exceptions = (variable(environment, "NO_PROXY") ?? "").split(/[\s,]+/).filter((entry) => entry !== "");
  if (exceptions.some((entry) => matchesEntry(url, entry))) return null;
  const proxy = parseUrl(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (proxy === null || !["http:", "https:"].includes(proxy.protocol))
    throw new BelljarError("config-invalid", `reading ${name} or ALL_PROXY: is no URL of an HTTP proxy`, {
      hint: "such as http://proxy.example:3128",
    });
  return proxy;
}

function parseUrl(text: string): URL | null {
  try {
    const url = new URL(text);
    // A password with a stray % cannot be sent as it was meant.
    decodeURIComponent(url.username + url.password);
    return url;
  } catch {
    return null;
  }
}
