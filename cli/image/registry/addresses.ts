import { lookup as systemLookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

/** Host of a URL without the brackets of IPv6. */
export const bareHost = (hostname: string): string => hostname.replace(/^\[(.*)\]$/, "$1");

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Where no other registry may send us: this machine, its link, and the addresses at which clouds hand out secrets. */
const inner = new BlockList();
for (const [net, prefix] of [
  ["0.0.0.0", 8],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["224.0.0.0", 3],
  ["100.100.100.200", 32],
  ["192.0.0.192", 32],
] as const)
  inner.addSubnet(net, prefix, "ipv4");
for (const [net, prefix] of [
  ["::", 127],
  ["fe80::", 10],
  ["ff00::", 8],
  ["fd00:ec2::254", 128],
  ["64:ff9b::7f00:0", 104],
  ["64:ff9b::a9fe:0", 112],
] as const)
  inner.addSubnet(net, prefix, "ipv6");

const family = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");

/** `localhost` or a loopback address in digits; a name that only resolves to one is none, since others say what it resolves to. */
export function isLoopbackHost(hostname: string): boolean {
  const host = bareHost(hostname);
  return host === "localhost" || (isIP(host) !== 0 && loopback.check(host, family(host)));
}

/** IPv4 addresses count in their IPv6 spelling too. */
export function isInnerAddress(address: string): boolean {
  return isIP(address) !== 0 && inner.check(address, family(address));
}

/** A host that a registry elsewhere has no reason to name. */
export function isInnerHost(hostname: string): boolean {
  const host = bareHost(hostname).replace(/\.$/, "");
  return host === "localhost" || host.endsWith(".localhost") || isInnerAddress(host);
}

/** Code of the error of {@link outerLookup}. */
export const innerAddressCode = "BELLJAR_INNER_ADDRESS";

/** Resolves like the system does, but fails for names that lead to an inner address: what was checked is what is connected to. */
export const outerLookup: LookupFunction = (hostname, options, callback) => {
  systemLookup(hostname, { ...options, all: true }, (error, addresses) => {
    const [first] = addresses ?? [];
    if (error !== null || first === undefined) return callback(error, "", 0);
    if (addresses.some(({ address }) => isInnerAddress(address)))
      return callback(Object.assign(new Error("leads to an address of this machine or its link"), { code: innerAddressCode }), "", 0);
    return options.all ? callback(null, addresses) : callback(null, first.address, first.family);
  });
};
