/** The profile layer: text in, a complete policy with the origin of every field out. */
export { builtinProfiles } from "./builtin.gen.ts";
export { capabilityNumbers, readCapability } from "./check.ts";
export { type DiffRow, diffPolicies, type ExplainRow, explainProfile, originOf } from "./explain.ts";
export { illFormedTexts } from "./json.ts";
export { formatLimit, limitKinds, parseLimit, readLimit, spellLimit } from "./limits.ts";
export { type Override, parseSet, refuseBareDuration } from "./overrides.ts";
export { parseProfile } from "./parse.ts";
export { didYouMean, nearestName, type Problem, problemsOf } from "./problems.ts";
export {
  builtinPrefix,
  type LoadedProfile,
  type LoadProfile,
  loadBuiltin,
  type ResolveOptions,
  type ResolveResult,
  resolveProfile,
} from "./resolve.ts";
export { canonicalJson, policyDigest } from "./resolved.ts";
export { readArgument, ruleSetNames } from "./rules.ts";
