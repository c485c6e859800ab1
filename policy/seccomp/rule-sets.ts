/** The built-in rule sets (profiles/seccomp/*.json): named, commented groups, expanded for what a sandbox is granted. */
import base from "../../profiles/seccomp/base.json" with { type: "json" };
import standard from "../../profiles/seccomp/default.json" with { type: "json" };
import none from "../../profiles/seccomp/none.json" with { type: "json" };
import strict from "../../profiles/seccomp/strict.json" with { type: "json" };
import { BelljarError } from "../errors.ts";
import type { ResolvedSeccompRule, SeccompActionText, SeccompArgSpec } from "../profile/types.ts";

/** What can lift a denial: a capability of the program, the right to make user namespaces, or to run on any CPU. */
export type Lift = `CAP_${string}` | "userNamespaces" | "anyCpu";

export interface RuleGroup {
  readonly name: string;
  readonly comment: string;
  readonly names: readonly string[];
  readonly action: SeccompActionText;
  readonly args?: readonly SeccompArgSpec[];
  /** With any of these the same calls are allowed instead. */
  readonly liftedBy?: readonly Lift[];
}

export interface RuleSet {
  readonly name: string;
  readonly description: string;
  readonly defaultAction: SeccompActionText;
  /** For numbers that the table of system calls does not know. */
  readonly unknownAction: SeccompActionText;
  readonly groups: readonly RuleGroup[];
}

export interface Grants {
  readonly capabilities: readonly string[];
  readonly userNamespaces: "deny" | "allow";
  /** The profile pins the program to some CPUs (limits.cpuset); absent: it does not. */
  readonly pinned?: boolean;
}

// JSON modules type strings as string: the shape of these files is asserted by test/unit/seccomp/rule-sets.test.ts.
export const baseRuleSet = base as unknown as RuleSet;
const ruleSets: readonly RuleSet[] = [standard as unknown as RuleSet, strict as unknown as RuleSet, none as unknown as RuleSet];
export const ruleSetNames: readonly string[] = ruleSets.map(({ name }) => name);

/** @throws BelljarError profile-invalid for a name that is not built in. */
export function findRuleSet(name: string): RuleSet {
  const found = ruleSets.find((ruleSet) => ruleSet.name === name);
  if (found !== undefined) return found;
  throw new BelljarError("profile-invalid", `seccomp.extends: '${name}': no such rule set`, {
    hint: `built-in rule sets are ${ruleSetNames.join(", ")}`,
  });
}

/** The rules of a set in the order in which they apply, denials turned into permissions where a grant lifts them. */
export function expandRuleSet(ruleSet: RuleSet, grants: Grants): readonly ResolvedSeccompRule[] {
  return ruleSet.groups.map((group) => ({
    names: group.names,
    action: isLifted(group, grants) ? "allow" : group.action,
    args: group.args ?? [],
    comment: group.comment,
    origin: `${ruleSet.name}#${group.name}`,
  }));
}

export function isLifted({ liftedBy = [] }: RuleGroup, { capabilities, userNamespaces, pinned = false }: Grants): boolean {
  return liftedBy.some((lift) => {
    if (lift === "userNamespaces") return userNamespaces === "allow";
    return lift === "anyCpu" ? !pinned : capabilities.includes(lift);
  });
}
