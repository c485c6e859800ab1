import capabilities from "./capabilities.json" with { type: "json" };

/** Linux capabilities and their bit numbers (include/uapi/linux/capability.h). */
export const capabilityNumbers: Readonly<Record<string, number>> = capabilities;
