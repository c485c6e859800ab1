import { BelljarError } from "../errors.ts";
import { capabilityNumbers } from "../profile/capabilities.ts";

/** "CAP_NET_RAW" and the like as the kernel's bit mask (capabilities(7)). Throws BelljarError `profile-invalid` for an unknown name. */
export function capabilityBits(names: readonly string[]): bigint {
  let bits = 0n;
  for (const name of names) {
    const number = Object.hasOwn(capabilityNumbers, name) ? capabilityNumbers[name] : undefined;
    if (number === undefined)
      throw new BelljarError("profile-invalid", `compiling the plan: capability '${name}': there is no such capability`);
    bits |= 1n << BigInt(number);
  }
  return bits;
}
