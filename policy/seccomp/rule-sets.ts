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

/** What `seccomp.extends` names: a whole set with its default, or one group of it, which has none. */
export interface Selection extends Pick<RuleSet, "name" | "groups" | "unknownAction"> {
  readonly defaultAction: SeccompActionText | null;
}

/** `strict`, or `default#socket-ipv4` for one group. @throws BelljarError profile-invalid for a name that is not built in. */
export function selectRules(name: string): Selection {
  const [set = "", group, ...more] = name.split("#");
  const ruleSet = findRuleSet(set);
  if (group === undefined) return ruleSet;
  const found = more.length > 0 ? undefined : ruleSet.groups.find((one) => one.name === group);
  if (found !== undefined) return { ...ruleSet, groups: [found], defaultAction: null };
  const names = ruleSet.groups.map((one) => one.name);
  throw new BelljarError("profile-invalid", `seccomp.extends: '${name}': rule set '${set}' has no such group`, {
    hint: `its groups are ${names.join(", ")}`,
  });
}

/** The rules of a set in the order in which they apply, denials turned into permissions where a grant lifts them. */
export function expandRuleSet(ruleSet: Pick<RuleSet, "name" | "groups">, grants: Grants): readonly ResolvedSeccompRule[] {
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
