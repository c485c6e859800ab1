/**
 * The audit filters: they refuse exactly what the plain ones refuse, but let the supervisor hear of it. A refusal becomes a
 * notification whose data is the number of a slot; the slot says what the supervisor answers, and for which rule.
 *
 * Of several filters' answers the kernel takes the strictest, and an errno is stricter than a notification. So the base
 * filter notifies as well, and what it refuses is in the profile's filter too: of equals the newest filter decides, and that
 * is the one with the listener. Without it the base's notification would have none, which the kernel answers with ENOSYS.
 *
 * Not audited: answers of ENOSYS (they stand for an older kernel, and callers fall back) and of success without effect;
 * `trap` and `log`, which have a way of their own to tell; and the calls that the task needs before it can be heard.
 */
import { actionRank, errnoReturn, formatAction, type ReturnValue, returnValues, splitReturnValue } from "./actions.ts";
import { type ArgumentWidth, argumentWidth } from "./arguments.ts";
import { instructionSize } from "./assembler.ts";
import type { AuditArgument, AuditFilters, AuditPurpose, AuditSlot } from "./audit-types.ts";
import { maxInstructions } from "./compile.ts";
import { allOnes, type Condition, contradictory } from "./conditions.ts";
import { emitFilter } from "./emit.ts";
import { errnoNumbers } from "./errno.ts";
import { type FilterInput, type FilterRule, type FilterRules, outcomes, resolveBaseRules, resolveRules } from "./rules.ts";
import { syscallNumbers } from "./syscalls.ts";

/** Made between the installation of the filter and execve, when nobody answers yet (read, write), or never to be refused. */
export const neverAudited: ReadonlySet<string> = new Set(["execve", "read", "write", "exit_group"]);

/** Arguments that tell more of a call than its name; numbers only, never what a pointer leads to. */
const telling: Readonly<Record<string, readonly number[]>> = {
  bpf: [0],
  clone: [0],
  fcntl: [1],
  ioctl: [1],
  keyctl: [0],
  personality: [0],
  prctl: [0],
  ptrace: [0],
  setns: [1],
  socket: [0],
  socketpair: [0],
  unshare: [0],
};

/** A program's own listener would be a second one, which the kernel refuses with this; here it must not depend on the first being open. */
const secondListener: FilterRule = {
  origin: "audit#one-listener",
  comment: null,
  action: errnoReturn(errnoNumbers.EBUSY),
  conditions: [{ index: 1, width: 32, op: "masked-eq", value: 8n, mask: 8n }],
};

interface Slots {
  readonly list: AuditSlot[];
  readonly purpose: AuditPurpose;
}

/** Null where a filter would be larger than the kernel takes. `learn` notes the calls that are allowed, too, and those that are told of an older kernel. */
export function compileAudit(input: FilterInput, purpose: AuditPurpose): AuditFilters | null {
  const baseRules = resolveBaseRules(input);
  const rules = resolveRules(input);
  const names = Object.keys(syscallNumbers(input.arch));
  const slots: Slots = { list: [], purpose };
  const unheard: Slots = { list: [], purpose: "audit" };
  const base = emitFilter({
    ...baseRules,
    bySyscall: new Map(names.map((name) => [name, outcomes(baseRules, name).map((rule) => audited(rule, { name, slots: unheard }))])),
  });
  const merged = new Map(names.map((name) => [name, mergedRules(baseRules, rules, name)]));
  const profile = emitFilter({
    ...rules,
    unknownAction: baseRules.unknownAction,
    bySyscall: new Map([...merged].map(([name, list]) => [name, list.map((rule) => audited(rule, { name, slots }))])),
  });
  if (Math.max(base.length, profile.length) > maxInstructions * instructionSize) return null;
  const heard = [...merged].filter(([name, list]) => list.some((rule) => slotFor(rule, { name, slots }) !== null));
  return { base, profile, slots: slots.list, arguments: argumentsOf(heard, { input, rules, purpose }) };
}

/** A rule of the merged filter; `plain` ones keep their action. */
interface MergedRule extends FilterRule {
  readonly plain?: boolean;
}

/** What both filters together answer, as one list of which the first match decides. */
function mergedRules(baseRules: FilterRules, rules: FilterRules, name: string): readonly MergedRule[] {
  const own = outcomes(rules, name);
  const base = [...(name === "seccomp" ? [secondListener] : []), ...outcomes(baseRules, name)];
  return base.flatMap((ceiling) => underCeiling(ceiling, own));
}

function underCeiling(ceiling: FilterRule, own: readonly FilterRule[]): readonly MergedRule[] {
  const list = own.map((rule) => {
    const decides = actionRank(ceiling.action) < actionRank(rule.action) ? ceiling : rule;
    // An errno that the base filter answers by itself would win over a notification.
    const plain = ceiling === secondListener ? decides === ceiling : isPlainErrno(ceiling.action);
    // Where both refuse, the ceiling is named: it is what a profile cannot lift.
    const { origin } = isErrno(decides.action) && isErrno(ceiling.action) ? ceiling : decides;
    return { ...decides, origin, conditions: [...ceiling.conditions, ...rule.conditions], plain };
  });
  const [first] = list;
  if (first !== undefined && list.every(({ origin, action }) => origin === ceiling.origin && action === first.action))
    return [{ ...first, conditions: ceiling.conditions }];
  return list.filter(({ conditions }) => !contradictory(conditions));
}

function isErrno(value: ReturnValue): boolean {
  return splitReturnValue(value).action === "errno";
}

function isPlainErrno(value: ReturnValue): boolean {
  const { action, data } = splitReturnValue(value);
  return action === "errno" && !isHeardErrno(data);
}

/** An errno that stands for a refusal. */
function isHeardErrno(data: number): boolean {
  return data !== 0 && data !== errnoNumbers.ENOSYS;
}

interface AuditContext {
  readonly name: string;
  readonly slots: Slots;
}

function audited(rule: MergedRule, context: AuditContext): FilterRule {
  const slot = slotFor(rule, context);
  return slot === null ? rule : { ...rule, action: returnValues.notify + slot };
}

function slotFor(rule: MergedRule, { name, slots }: AuditContext): number | null {
  const { action, data } = splitReturnValue(rule.action);
  if (rule.plain === true || neverAudited.has(name)) return null;
  const learning = slots.purpose === "learn";
  if (action === "errno" && (isHeardErrno(data) || (learning && data !== 0))) return slotOf(slots, { action: "errno", error: data, rule });
  if (action === "kill_process") return slotOf(slots, { action: "kill", error: 0, rule });
  if ((action === "allow" || action === "log") && learning) return slotOf(slots, { action: "pass", error: 0, rule });
  return null;
}

function slotOf({ list }: Slots, { rule, ...answer }: Pick<AuditSlot, "action" | "error"> & { readonly rule: FilterRule }): number {
  const slot: AuditSlot = { ...answer, outcome: formatAction(rule.action), rule: rule.origin };
  const known = list.findIndex((one) => one.rule === slot.rule && one.outcome === slot.outcome);
  return known >= 0 ? known : list.push(slot) - 1;
}

/** What is asked of a pointer. Its value tells nobody anything: not in a report, nor in a rule that would allow the call. */
function asksForNull({ op, width, value, mask }: Condition): boolean {
  return (op === "eq" || op === "ne") && width === 64 && value === 0n && mask === allOnes(64);
}

interface ArgumentContext {
  readonly input: FilterInput;
  readonly rules: FilterRules;
  readonly purpose: AuditPurpose;
}

/**
 * By which arguments calls are told apart: those that tell people something, and those that the rules look at. What is learnt becomes
 * rules of the profile's filter: what only the base filter looks at does not matter to them.
 */
function argumentsOf(
  heard: readonly (readonly [name: string, list: readonly FilterRule[]])[],
  { input, rules, purpose }: ArgumentContext,
): readonly AuditArgument[] {
  const numbers = syscallNumbers(input.arch);
  const indexes = (list: readonly { readonly conditions: readonly Condition[] }[]): readonly number[] =>
    list.flatMap(({ conditions }) => conditions.filter((one) => purpose === "learn" || !asksForNull(one)).map(({ index }) => index));
  return heard
    .flatMap(([name, list]) => {
      const all = purpose === "learn" ? outcomes(rules, name) : list;
      const looked = [...indexes(all), ...(telling[name] ?? [])];
      // A rule may look at more bits than the kernel: what is learnt has to know how it answered.
      const wider = purpose === "learn" ? all.flatMap(({ conditions }) => conditions) : [];
      const width = (index: number): number =>
        Math.max(argumentWidth(name, index), ...wider.filter((one) => one.index === index).map((one) => one.width));
      return [...new Set(looked)].map((index) => ({ syscall: numbers[name] ?? 0, index, mask: allOnes(width(index) as ArgumentWidth) }));
    })
    .sort((a, b) => a.syscall - b.syscall || a.index - b.index);
}
