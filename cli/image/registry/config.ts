import { isDomain, isRepositoryPath } from "../reference.ts";

/**
 * How to reach a registry. Without a setting it is `https`, and a loopback host is asked over HTTP when it speaks no TLS.
 * `https-unverified` takes any certificate, `http` has none.
 */
export const registryTransports = ["https", "https-unverified", "http"] as const;
export type RegistryTransport = (typeof registryTransports)[number];

export interface RegistrySettings {
  readonly transport?: RegistryTransport;
  /** File of PEM certificates that are trusted for this registry beside the usual ones. */
  readonly certificateAuthority?: string;
  /** Registries asked first, in order: "mirror.example:5000" or "mirror.example/prefix". */
  readonly mirrors?: readonly string[];
}

/** By host, as references spell it: "docker.io", "registry.example:5000". */
export type RegistriesConfig = Readonly<Record<string, RegistrySettings>>;

const maxMirrors = 16;

/** A mirror's host, and what comes before the path of every image there. */
export interface MirrorPlace {
  readonly domain: string;
  readonly prefix: string;
}

/** null when the text names no mirror. */
export function parseMirror(text: string): MirrorPlace | null {
  const slash = text.indexOf("/");
  const domain = slash === -1 ? text : text.slice(0, slash);
  const prefix = slash === -1 ? "" : text.slice(slash + 1);
  if (!isDomain(domain) || (slash !== -1 && !isRepositoryPath(prefix))) return null;
  return { domain, prefix };
}

type JsonObject = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

function settingsProblem(path: string, value: unknown): string | null {
  if (!isObject(value)) return `${path}: must be an object`;
  const { transport, certificateAuthority, mirrors, ...others } = value as Record<keyof RegistrySettings, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined) return `${path}.${other}: unknown key (known: transport, certificateAuthority, mirrors)`;
  if (transport !== undefined && !registryTransports.includes(transport as RegistryTransport))
    return `${path}.transport: must be one of ${registryTransports.join(", ")}`;
  const isPath = typeof certificateAuthority === "string" && certificateAuthority.startsWith("/") && !certificateAuthority.includes("\0");
  if (certificateAuthority !== undefined && !isPath) return `${path}.certificateAuthority: must be an absolute path`;
  if (mirrors === undefined) return null;
  if (!Array.isArray(mirrors) || mirrors.length > maxMirrors) return `${path}.mirrors: must be a list of at most ${maxMirrors}`;
  const bad = mirrors.findIndex((mirror) => typeof mirror !== "string" || parseMirror(mirror) === null);
  return bad === -1 ? null : `${path}.mirrors[${bad}]: must be a host with an optional port and a path, without a scheme`;
}

/** What is wrong with the key `registries` of a configuration, with its path; null when nothing is. */
export function registriesProblem(value: unknown): string | null {
  if (!isObject(value)) return "registries: must be an object";
  for (const [domain, settings] of Object.entries(value)) {
    if (!isDomain(domain)) return `registries: ${JSON.stringify(domain)} is no host with an optional port`;
    const problem = settingsProblem(`registries[${JSON.stringify(domain)}]`, settings);
    if (problem !== null) return problem;
  }
  return null;
}
