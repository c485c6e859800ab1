/**
 * What a profile in Docker's format means for one program: the rules that apply to its capabilities, architecture and kernel, as
 * rules of ours, in an order that gives what libseccomp makes of them, or something stricter:
 *
 * - a rule that says what the default says is as good as absent where others speak of the call (the engines leave it out);
 * - a rule without conditions decides, wherever it stands (libseccomp drops the others);
 * - of rules with conditions that all hold, the strictest decides (libseccomp: whichever its tree meets first).
 *
 * Conditions compare what the kernel reads of an argument, where libseccomp compares all 64 bits: see conditionFor.
 */
import type { Arch } from "../compile/types.ts";
import { BelljarError } from "../errors.ts";
import { capabilityNumbers } from "../profile/capabilities.ts";
import { profileError } from "../profile/problems.ts";
import type { ResolvedSeccompRule, SeccompArgSpec, SeccompFile } from "../profile/types.ts";
import { actionRank, formatAction, parseAction } from "./actions.ts";
import { argumentWidth } from "./arguments.ts";
import { allOnes, contradictory, resolveCondition } from "./conditions.ts";
import { type FileArgument, type FileCondition, type FileProfile, type FileRule, parseSeccompFile } from "./file-shape.ts";
import { isSyscallName } from "./syscalls.ts";
import { foreignSyscalls } from "./tables.gen.ts";

/** For whom a file is evaluated. */
export interface FileContext {
  readonly arch: Arch;
  /** Those that the program can have: its bounding set. */
  readonly capabilities: readonly string[];
  /** The host's kernel release ("6.1.0-31-amd64"); null: not known. */
  readonly kernel: string | null;
}

export interface FileRules {
  readonly rules: readonly ResolvedSeccompRule[];
  /** In the profile's words. */
  readonly defaultAction: string;
  readonly defaultOrigin: string;
  readonly warnings: readonly string[];
}

/** Go's names, which `includes.arches` and `excludes.arches` use. */
const engineArch: Readonly<Record<Arch, string>> = { x86_64: "amd64", aarch64: "arm64" };

/** @throws BelljarError profile-invalid, with the file and the JSON path */
export function resolveSeccompFile(file: SeccompFile, context: FileContext): FileRules {
  const profile = parseSeccompFile(file);
  const warnings = [...profile.warnings.map((warning) => `${file.path}: ${warning}`), ...nameWarnings(file, profile)];
  const defaultAction = actionOf({ action: profile.defaultAction, errno: profile.defaultErrno });
  const applying = profile.rules.flatMap((rule, index) =>
    applies(rule, context) ? expandRule(rule, { origin: `${file.path}#syscalls[${index}]`, file: file.path, warnings }) : [],
  );
  if ([profile.defaultAction, ...profile.rules.map(({ action }) => action)].includes("trace"))
    warnings.push(`${file.path}: SCMP_ACT_TRACE: there is no tracer: such calls get ENOSYS, as from the kernel`);
  return { rules: inOrder(applying, defaultAction), defaultAction, defaultOrigin: `${file.path}#defaultAction`, warnings };
}

/** Names that nothing knows are normal in such files, which are made for every kernel and library: one warning tells of all. */
function nameWarnings({ path }: SeccompFile, { rules }: FileProfile): readonly string[] {
  const foreign = new Set(foreignSyscalls);
  const unknown = [...new Set(rules.flatMap(({ names }) => names))].filter((name) => !isSyscallName(name) && !foreign.has(name));
  const capabilities = rules.flatMap(({ includes, excludes }) => [...includes.caps, ...excludes.caps]);
  const unheardOf = [...new Set(capabilities)].filter((name) => !Object.hasOwn(capabilityNumbers, name));
  return [
    ...(unknown.length === 0 ? [] : [`${path}: no system calls of these names are known, their rules do nothing: ${someOf(unknown)}`]),
    ...(unheardOf.length === 0 ? [] : [`${path}: no capabilities of these names are known, so nothing has them: ${someOf(unheardOf)}`]),
  ];
}

const shown = 8;
const someOf = (names: readonly string[]): string =>
  names.length <= shown ? names.join(", ") : `${names.slice(0, shown).join(", ")} and ${names.length - shown} more`;

/** As the engines have it: all of `includes.caps` are needed, any of `excludes.caps` is too many. */
function applies({ includes, excludes }: FileRule, { arch, capabilities, kernel }: FileContext): boolean {
  const has = (name: string): boolean => capabilities.includes(name);
  const isArch = (condition: FileCondition): boolean => condition.arches.includes(engineArch[arch]);
  if (isArch(excludes) || excludes.caps.some(has)) return false;
  if (excludes.minKernel !== null && kernelIsAtLeast(kernel, excludes.minKernel)) return false;
  if (includes.arches.length > 0 && !isArch(includes)) return false;
  return includes.caps.every(has) && (includes.minKernel === null || kernelIsAtLeast(kernel, includes.minKernel));
}

/** Version and patch level only, as the engines compare them: what stands behind is each distribution's own. */
function kernelIsAtLeast(kernel: string | null, wanted: string): boolean {
  const parts = (text: string | null): readonly [number, number] => {
    const match = /^(\d+)\.(\d+)/.exec(text ?? "");
    if (match === null) throw new BelljarError("not-supported", `seccomp.file: minKernel: the kernel's release '${text}' has no number`);
    return [Number(match[1]), Number(match[2])];
  };
  const [[version, level], [wantedVersion, wantedLevel]] = [parts(kernel), parts(wanted)];
  return version > wantedVersion || (version === wantedVersion && level >= wantedLevel);
}

/** In the profile's words. Without an errno the engines mean EPERM. */
function actionOf({ action, errno }: Pick<FileRule, "action" | "errno">): string {
  if (action === "trace") return "errno:ENOSYS";
  return action === "errno" ? formatAction(parseAction(`errno:${errno ?? 1}`, "errno")) : action;
}

interface ExpandContext {
  readonly origin: string;
  readonly file: string;
  readonly warnings: string[];
}

/** Rules with conditions become one for each call: how wide an argument is hangs on the call. */
function expandRule(rule: FileRule, context: ExpandContext): readonly ResolvedSeccompRule[] {
  const { origin, warnings } = context;
  const common = { action: actionOf(rule), comment: rule.comment, origin };
  if (rule.args.length === 0) return [{ ...common, names: rule.names, args: [] }];
  const indices = rule.args.map(({ index }) => index);
  if (new Set(indices).size < indices.length)
    warnings.push(`${origin}.args: several conditions on one argument: all of them have to hold here, where other runtimes take any`);
  return rule.names.flatMap((name) => {
    const args = rule.args.map((argument) => conditionFor(argument, name));
    const never = args.indexOf("never");
    if (never >= 0) {
      warnings.push(`${origin}.args[${never}]: never holds: the kernel reads fewer bits of that argument of ${name}`);
      return [];
    }
    const specs = args.filter((arg): arg is SeccompArgSpec => typeof arg === "object");
    refuseContradiction(specs, { name, rule, context });
    return [{ ...common, names: [name], args: specs }];
  });
}

/** Elsewhere any of the conditions would do, and a refusal that can never hold is one that its author believes in. */
function refuseContradiction(
  specs: readonly SeccompArgSpec[],
  { name, rule, context }: { readonly name: string; readonly rule: FileRule; readonly context: ExpandContext },
): void {
  if (rule.action === "allow" || rule.action === "log") return;
  const conditions = specs.map((spec) => resolveCondition(spec, { syscall: name, where: context.origin, warn: () => {} }));
  if (!contradictory(conditions)) return;
  throw profileError(context.file, [
    {
      path: `${context.origin.slice(context.file.length + 1)}.args`,
      message: "can never hold together: write one rule for each condition",
    },
  ]);
}

/**
 * A condition on the bits that the kernel reads. Values beyond them: a negative number in 64 bits (0xffffffffffffffff for -1)
 * is the same number in fewer, and any other is out of the argument's reach, so that the comparison's outcome is known.
 */
function conditionFor({ index, op, value, valueTwo }: FileArgument, name: string): SeccompArgSpec | "always" | "never" {
  const width = argumentWidth(name, index);
  const ones = allOnes(width);
  const narrow = (number: bigint): bigint | null =>
    number <= ones || BigInt.asIntN(64, number) === BigInt.asIntN(width, number) ? number & ones : null;
  const text = (number: bigint): string => `0x${number.toString(16)}`;
  if (op === "masked-eq") {
    const wanted = narrow(valueTwo);
    if (wanted === null) return "never";
    return (value & ones) === 0n ? "always" : { index, op, mask: text(value & ones), value: text(wanted & value) };
  }
  const fitting = narrow(value);
  if (fitting !== null) return { index, op, value: text(fitting) };
  return op === "ne" || op === "lt" || op === "le" ? "always" : "never";
}

/** First match decides: see the top of this file. */
function inOrder(rules: readonly ResolvedSeccompRule[], defaultAction: string): readonly ResolvedSeccompRule[] {
  const place = ({ action, args }: ResolvedSeccompRule): number => {
    if (action === defaultAction) return Number.MAX_SAFE_INTEGER;
    return args.length === 0 ? -1 : actionRank(parseAction(action, "action"));
  };
  return rules
    .map((rule) => ({ rule, at: place(rule) }))
    .sort((a, b) => a.at - b.at)
    .map(({ rule }) => rule);
}
