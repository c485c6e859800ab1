/** `belljar profile diff`: fields that differ, and the calls that one profile's filters let through and the other's do not. */
import { diffPolicies, type ResolveResult } from "../../policy/profile/index.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import type { FilterDiff } from "../../policy/seccomp/diff.ts";
import { factsDocument } from "../output/json.ts";
import { writeStdout } from "../output/streams.ts";
import { table } from "../output/table.ts";
import { filterInputOf, namingProfile } from "../run/filters.ts";
import { arch, resolveFrom } from "./profile-check.ts";

export interface DiffOptions {
  readonly json: boolean;
  /** Calls, too, that both refuse, or both let through, in different ways. */
  readonly all: boolean;
}

export async function diff(left: string, right: string, { json, all }: DiffOptions): Promise<number> {
  const [one, other] = [resolveFrom(left), resolveFrom(right)];
  const fields = diffPolicies(one.policy, other.policy);
  const { rows, undecided } = await diffCalls(one, other);
  const shown = all ? rows : rows.filter(({ allowedBy }) => allowedBy !== null);
  if (json) {
    await writeStdout(factsDocument({ fields, syscalls: shown, undecided }));
    return 0;
  }
  const parts = [
    table(fields.map((row) => [row.path, row.left ?? "-", row.right ?? "-"])),
    table(shown.map(({ syscall, conditions, ...row }) => [`${syscall}()`, conditionWords(conditions), row.left, row.right])),
    notes({ rows, undecided }, all),
  ];
  await writeStdout(parts.filter((part) => part !== "").join("\n"));
  return 0;
}

async function diffCalls({ policy }: ResolveResult, other: ResolveResult): Promise<FilterDiff> {
  const { compileBaseFilter, compileFilter } = await import("../../policy/seccomp/compile.ts");
  const { diffFilters } = await import("../../policy/seccomp/diff.ts");
  const filtersOf = (side: ResolvedPolicy) => {
    const input = filterInputOf(side, arch);
    return namingProfile(side, () => [compileBaseFilter(input).bytes, compileFilter(input).bytes]);
  };
  return diffFilters({ left: await filtersOf(policy), right: await filtersOf(other.policy), arch });
}

const conditionWords = (conditions: readonly string[]): string => (conditions.length === 0 ? "always" : `if ${conditions.join(" and ")}`);

function notes({ rows, undecided }: FilterDiff, all: boolean): string {
  const others = rows.filter(({ allowedBy }) => allowedBy === null).length;
  const lines = [
    ...(all || others === 0 ? [] : [`${others} more where both refuse, or both allow, in different ways: --all`]),
    ...(undecided.length === 0 ? [] : [`not compared, because their rules are too many: ${undecided.join(", ")}`]),
  ];
  return lines.map((line) => `${line}\n`).join("");
}
