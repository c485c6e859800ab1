import { BelljarError } from "../../../policy/errors.ts";
import { quoted } from "../../output/terminal.ts";
import { isInnerHost, isLoopbackHost } from "./addresses.ts";
import type { NetworkLimits } from "./limits.ts";
import { type Answer, type Exchange, headerOf, type Transport } from "./transport.ts";
import { shownUrl } from "./words.ts";

const redirects: readonly number[] = [301, 302, 303, 307, 308];

/** Whether plain HTTP may be spoken with a host: on this machine, or because the configuration asks for it. */
export const mayBePlain = (url: URL, transport: Transport): boolean =>
  isLoopbackHost(url.hostname) || transport.settingsOf(url.host).transport === "http";

/** null: a registry at `from` may name `target`. Otherwise why not. */
export function targetProblem(target: URL, from: URL, transport: Transport): string | null {
  if (target.protocol !== "https:" && target.protocol !== "http:") return "is no web address";
  if (target.username !== "" || target.password !== "") return "holds a user name or a password";
  const staysHere = isLoopbackHost(from.hostname) && isLoopbackHost(target.hostname);
  if (target.hostname !== from.hostname && !staysHere && isInnerHost(target.hostname)) return "is an address of this machine or its link";
  if (target.protocol === "http:" && (from.protocol === "https:" || !mayBePlain(target, transport))) return "is not encrypted";
  return null;
}

export interface Followed {
  readonly answer: Answer;
  /** False once another server than the first was asked: its challenges get no answer. */
  readonly isOwn: boolean;
}

/**
 * Sends a request and goes where it is sent, at most `maxRedirects` times. The credential goes to the origin that was asked first and to
 * nobody else: not on the way there, and not on the way back.
 * Throws BelljarError `registry-failed` for a redirect that leads in a circle, nowhere, or where it must not.
 */
export async function follow(
  transport: Transport,
  exchange: Omit<Exchange, "outerOnly">,
  options: { readonly what: string; readonly limits: NetworkLimits; readonly asker?: URL },
): Promise<Followed> {
  const { what, limits } = options;
  const first = exchange.url;
  /** Who named the address: the registry that was asked, also for its token service. */
  const asker = options.asker ?? first;
  let { url, headers, method } = exchange;
  let isOwn = true;
  const refuse = (reason: string): never => {
    throw new BelljarError("registry-failed", `${what}: ${first.host}: ${reason}`);
  };
  for (let hops = 0; ; hops++) {
    const outerOnly = url.hostname !== asker.hostname && !isLoopbackHost(asker.hostname);
    const answer = await transport.send({ ...exchange, method, url, headers, outerOnly });
    if (!redirects.includes(answer.status)) return { answer, isOwn };
    const location = headerOf(answer.headers, "location");
    await answer.discard();
    if (location === null) return refuse(`answers ${answer.status} without saying where to go`);
    if (hops === limits.maxRedirects) return refuse(`redirects more than ${limits.maxRedirects} times`);
    // A password may only ever travel in one request.
    if (method === "POST") return refuse("redirects a request for a token");
    const next = resolve(location, url) ?? refuse(`redirects to ${quoted(location.slice(0, 200))}, which is no address`);
    const problem = targetProblem(next, url, transport);
    if (problem !== null) return refuse(`redirects to ${quoted(shownUrl(next))}, which ${problem}`);
    if (next.origin !== first.origin) {
      isOwn = false;
      const { authorization: _, ...rest } = headers;
      headers = rest;
    }
    url = next;
  }
}

function resolve(location: string, base: URL): URL | null {
  try {
    const url = new URL(location, base);
    url.hash = "";
    return url;
  } catch {
    return null;
  }
}
