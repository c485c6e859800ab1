import type { Reference } from "../oci-types.ts";
import { defaultDomain } from "../reference.ts";
import { isLoopbackHost } from "./addresses.ts";
import { parseMirror, type RegistriesConfig } from "./config.ts";

/** One place where an image may be. */
export interface Endpoint {
  /** As references and credentials name it. */
  readonly domain: string;
  /** As it is connected to. */
  readonly host: string;
  readonly repository: string;
  /** Schemes to try, in order; the next one only when nobody speaks the one before. */
  readonly schemes: readonly ("https" | "http")[];
}

/** Docker Hub's name is not its address. */
const dockerHubHost = "registry-1.docker.io";

function schemesFor(host: string, registries: RegistriesConfig): Endpoint["schemes"] {
  const transport = registries[host]?.transport;
  if (transport === "http") return ["http"];
  // HTTP unasked stays on this machine, and is decided for each host by itself.
  return transport === undefined && isLoopbackHost(new URL(`https://${host}`).hostname) ? ["https", "http"] : ["https"];
}

function endpointAt(domain: string, repository: string, registries: RegistriesConfig): Endpoint {
  const host = domain === defaultDomain ? dockerHubHost : domain;
  return { domain, host, repository, schemes: schemesFor(host, registries) };
}

/** Where to look for an image, in order: the mirrors of its registry, then the registry. */
export function endpointsOf({ domain, path }: Pick<Reference, "domain" | "path">, registries: RegistriesConfig): readonly Endpoint[] {
  const mirrors = (registries[domain]?.mirrors ?? []).flatMap((text) => {
    const mirror = parseMirror(text);
    return mirror === null ? [] : [endpointAt(mirror.domain, mirror.prefix === "" ? path : `${mirror.prefix}/${path}`, registries)];
  });
  return [...mirrors, endpointAt(domain, path, registries)];
}
