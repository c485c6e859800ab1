import { isatty } from "node:tty";
import { BelljarError } from "../../policy/errors.ts";
import { resolveProfile } from "../../policy/profile/index.ts";
import type { SeccompRuleSpec } from "../../policy/profile/types.ts";
import { learntRules, type Observation } from "../../policy/seccomp/learn.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { type Paint, painter, verdictText, wantsColour, warningText } from "../output/human.ts";
import { imageProgress } from "../output/image-progress.ts";
import { writeStderr } from "../output/streams.ts";
import { printable, quoted } from "../output/terminal.ts";
import { filterInputOf } from "../run/filters.ts";
import type { Override, RunInput } from "../run/input.ts";
import { callersInput, type Learning, verifyingRun, type Watched, watchedRun } from "../run/learning.ts";
import { type LearntPlace, learntPlace, learntProfile, profileText } from "../run/learnt-profile.ts";
import type { PreparedRun } from "../run/prepare.ts";
import { loadProfile } from "../run/profiles.ts";
import { openTextFile, type TextFile } from "../run/report-file.ts";
import { type GivenArguments, helpWanted, readArguments } from "./arguments.ts";
import { learnOptions } from "./learn-options.ts";
import { checkHostFiles, checkTerminal, configAs } from "./run.ts";
import { type GivenRun, runInputFrom } from "./run-input.ts";

export const learnHelpWanted = (args: readonly string[]): boolean => helpWanted(args, learnOptions);

const reading = "reading options";
/** Verifying runs; before each but the first the program is watched once more. */
const maxRounds = 3;

interface Wish {
  readonly place: LearntPlace;
  readonly verify: boolean;
  readonly allowForbidden: readonly string[];
}

function wishFrom({ options }: GivenArguments): Wish {
  const last = (name: string) => options.findLast((option) => option.name === name)?.value ?? null;
  const has = (name: string) => options.some((option) => option.name === name);
  const file = last("write");
  if (file === null)
    throw new BelljarError("usage", `${reading}: '-o': is missing: where the profile is written`, {
      hint: "belljar learn -o profile.json -- COMMAND",
    });
  return {
    place: learntPlace(file, { profile: last("profile"), merge: has("merge") }),
    verify: !has("no-verify"),
    allowForbidden: options.flatMap(({ name, value }) => (name === "allow-forbidden" && value !== null ? [value] : [])),
  };
}

/**
 * What is learnt are the rules: they cannot be given as well. Nor what lifts rules of the base for this run only: the profile that is
 * written builds on the base without it, and would allow what that refuses.
 */
function refuseRules({ overrides }: RunInput): void {
  const lifting = overrides.find(({ path }) => /^(capabilities|namespaces)(\.|$)/.test(path));
  if (lifting !== undefined)
    throw new BelljarError(
      "usage",
      `${reading}: ${quoted(lifting.origin.replace(/^option /, ""))}: would be learnt from, but is not in the profile that is written`,
      { hint: "put it into a profile of its own and name that with -p" },
    );
  const found = overrides.find(({ path }) => path === "seccomp" || path.startsWith("seccomp."));
  if (found !== undefined)
    throw new BelljarError("usage", `${reading}: ${quoted(found.origin.replace(/^option /, ""))}: learning writes seccomp itself`, {
      hint: "put it into a profile of its own and name that with -p",
    });
}

/** Rules for calls that the base refuses, before all of its own. */
async function forbiddenRules({ place, allowForbidden }: Wish, overrides: readonly Override[]): Promise<readonly Override[]> {
  if (allowForbidden.length === 0) return [];
  const { isSyscallName } = await import("../../policy/seccomp/syscalls.ts");
  const { baseRuleSet, isLifted } = await import("../../policy/seccomp/rule-sets.ts");
  const { policy } = resolveProfile(place.baseReference, { load: loadProfile, overrides: [...overrides] });
  const grants = { capabilities: [], userNamespaces: policy.namespaces.user, pinned: policy.limits.cpuset !== null };
  const never = baseRuleSet.groups.filter((group) => group.args === undefined && !isLifted(group, grants));
  for (const name of allowForbidden) {
    if (!isSyscallName(name))
      throw new BelljarError("usage", `${reading}: '--allow-forbidden' ${quoted(name)}: no system call of that name is known`);
    const group = never.find(({ names }) => names.includes(name));
    if (group !== undefined)
      throw new BelljarError("usage", `${reading}: '--allow-forbidden' ${quoted(name)}: is refused in every sandbox`, {
        hint: group.comment,
      });
  }
  const rule: SeccompRuleSpec = { names: allowForbidden, action: "allow", comment: "asked for by --allow-forbidden" };
  const own = policy.seccomp.syscalls.map(({ names, action, args, comment }) => ({
    names,
    action,
    ...(args.length === 0 ? {} : { args }),
    comment: comment ?? "of the base",
  }));
  return [{ path: "seccomp.syscalls", value: [rule, ...own], origin: "option --allow-forbidden" }];
}

/** Why a second run would tell nothing; null where it does. */
function whyNotVerified(report: RunReport, { given, wish }: { readonly given: GivenRun; readonly wish: Wish }, again: Uint8Array | null) {
  if (!wish.verify) return "--no-verify";
  if (report.verdict === "cancelled" || report.verdict.endsWith("-limit")) return `the program was ended (${report.message})`;
  if (given.input.terminal) return "it ran on a terminal";
  return again === null && given.presentation.stdin === null ? "its input was too long to keep: give it as --stdin FILE" : null;
}

function refusedText(report: RunReport): string {
  const kinds = new Map((report.denials ?? []).map(({ syscall, rule }) => [syscall, rule]));
  if (kinds.size === 0) return "";
  const list = [...kinds].map(([syscall, rule]) => `${syscall} (${printable(rule)})`).join(", ");
  return `belljar: refused by the base and not learnt: ${list}\n`;
}

interface Session {
  readonly given: GivenRun;
  readonly wish: Wish;
  readonly learning: Learning;
  readonly file: TextFile;
  readonly paint: Paint;
  readonly say: (text: string) => void;
}

/** Writes what is known by now. */
function write(watched: Watched, observations: readonly Observation[], { wish, file, paint, say }: Session): void {
  const { policy, command, arch } = watched;
  const { rules, unlearnt } = learntRules(filterInputOf(policy, arch), observations);
  const profile = learntProfile(rules, { place: wish.place, policy, command });
  file.write(profileText(profile));
  const calls = new Set((profile.seccomp?.syscalls ?? []).flatMap(({ names }) => names)).size;
  say(`belljar: ${quoted(wish.place.path)}: ${calls} system calls, upon ${quoted(wish.place.base)}\n`);
  if (unlearnt.length > 0) say(warningText(`no rule can be made for what was seen of ${unlearnt.join(", ")}`, paint));
}

/** Of two runs of one program one may call what the other does not, by how its threads happen to meet. */
async function verify(watched: Watched, session: Session): Promise<number> {
  const { learning, wish, given, paint, say } = session;
  let observations = watched.observations;
  for (let round = 1; ; round++) {
    const differs = await verifyingRun(learning, { profile: wish.place.path, overrides: given.input.overrides, first: watched.report });
    if (differs === null) {
      say("belljar: verified: under it the program came to the same end again\n");
      return 0;
    }
    if (differs.refused.length === 0 || round === maxRounds) {
      writeStderr(warningText(`under it the program did not come to the same end: ${differs.words}`, paint));
      say(`hint: belljar learn --merge -o ${wish.place.path} adds what another run calls\n`);
      return 1;
    }
    say(`belljar: learning once more: ${differs.words}\n`);
    observations = [...observations, ...(await watchedRun(learning, { first: false })).observations];
    write(watched, observations, session);
  }
}

async function learn(session: Session): Promise<number> {
  const { learning, wish, given, paint, say } = session;
  const watched = await watchedRun(learning, { first: true });
  if (watched.report.verdict !== "ok") say(verdictText(watched.report, paint));
  write(watched, watched.observations, session);
  say(refusedText(watched.report));
  const reason = whyNotVerified(watched.report, { given, wish }, learning.kept.again());
  if (reason === null) return verify(watched, session);
  if (wish.verify) say(warningText(`not verified: ${reason}`, paint));
  return 0;
}

/** `belljar learn`: from its arguments to the exit status. Throws BelljarError where nothing is written. */
export async function learnCommand(args: readonly string[]): Promise<number> {
  const options = readArguments(args, learnOptions, { command: "learn" });
  const given = runInputFrom(options, process.env);
  const { input, presentation } = given;
  refuseRules(input);
  checkTerminal(input.terminal);
  const config = configAs(presentation.runAs);
  const wish = wishFrom(options);
  const paint = painter(wantsColour({ isTTY: isatty(2) }, process.env));
  const say = (text: string): void => {
    if (!presentation.quiet) writeStderr(text);
  };
  const overrides = [...input.overrides, ...(await forbiddenRules(wish, input.overrides))];
  const progress = presentation.quiet || !isatty(2) ? undefined : imageProgress();
  const context = { config, environment: process.env, ...(progress === undefined ? {} : { progress }) };
  const file = openTextFile(wish.place.path, "writing the profile");
  const onPrepared = (prepared: PreparedRun): void => {
    for (const warning of prepared.warnings) say(warningText(warning, paint));
    checkHostFiles(presentation, prepared);
  };
  const learning: Learning = {
    input: { ...input, profile: wish.place.baseReference, overrides },
    context,
    files: presentation,
    kept: callersInput(),
    onPrepared,
  };
  return learn({ given, wish, learning, file, paint, say }).finally(file.close);
}
