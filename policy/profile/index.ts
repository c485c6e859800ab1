/** The profile layer: text in, a complete policy with the origin of every field out. */
export { builtinProfiles } from "./builtin.gen.ts";
export { builtinPrefix, type LoadedProfile, type LoadProfile, loadBuiltin } from "./builtin.ts";
export { capabilityNumbers } from "./capabilities.ts";
export { readCapability } from "./check.ts";
export { canonicalJson, policyDigest } from "./digest.ts";
export { type DiffRow, diffPolicies, type ExplainRow, explainProfile, policyFacts } from "./explain.ts";
export { illFormedTexts } from "./json.ts";
export { formatLimit, limitKinds, parseLimit, readLimit, spellLimit } from "./limits.ts";
export type { Override } from "./overrides.ts";
export { parseProfile } from "./parse.ts";
export { didYouMean, nearestName, type Problem, problemsOf } from "./problems.ts";
export { originOf } from "./provenance.ts";
export { type ResolveOptions, type ResolveResult, resolveProfile } from "./resolve.ts";
export { readArgument, ruleSetNames } from "./rules.ts";
export { parseSet, refuseBareDuration } from "./set.ts";
