/**
 * The report's sentences with names in braces where a run's own facts go, for a caller that has no compiler of words: the same functions
 * make them that word the report itself.
 */
import type { LaunchPlan } from "../compile/types.ts";
import { BelljarError } from "../errors.ts";
import { formatLimit } from "../profile/limits.ts";
import type { LimitName, ResolvedPolicy } from "../profile/types.ts";
import { formatSize } from "../units.ts";
import { enums, type FsEntry, type OutputFailure, type RunRecord, type StartFailure } from "../wire/wire.gen.ts";
import { cancelWords, ending, messageFor, notMeasured, overfilledWords, scratchWords } from "./message.ts";
import { leftoverWords, notCopied } from "./report.ts";
import { signalName, signalWords } from "./signals.ts";
import { evidenceNames, type Verdict } from "./verdicts.gen.ts";
import {
  entryWords,
  errnoWords,
  initDiedMessage,
  mountHints,
  outOfMemory,
  outputError,
  startFailureWords,
  stepMessage,
  stepSubject,
} from "./words.ts";

type Sentence = (typeof enums.Sentence)[number];
type Mark = readonly [words: string, name: string];

/** Figures that no run has: where their words stand, a name is put. */
const odd = { code: -1_122_334, signal: 9_988_776, errno: 4_094_321, size: 7_654_321, count: 7_654_321 } as const;

/** Throws BelljarError `internal` where the words are not there: a sentence has changed, and this file has not. */
function marked(text: string, marks: readonly Mark[]): string {
  return marks.reduce((sentence, [words, name]) => {
    if (!sentence.includes(words)) throw new BelljarError("internal", `compiling the report: '${words}' is not in '${sentence}'`);
    return sentence.replaceAll(words, `{${name}}`);
  }, text);
}

const record = (facts: Partial<RunRecord>): RunRecord =>
  ({
    ...{ exitCode: odd.code, signal: 0, cancelSignal: 0, evidence: 0, startFailure: "none", errorText: "", errorErrno: 0 },
    ...{ diskBytes: notMeasured, diskInodes: notMeasured, stdoutBytes: 0n, stderrBytes: 0n, stdoutTruncated: 0, stderrTruncated: 0 },
    ...facts,
  }) as RunRecord;

const planOf = (parts: { readonly sandbox?: object; readonly exec?: object }): LaunchPlan => parts as unknown as LaunchPlan;
const exited: Mark = [ending(record({})), "ending"];

/** Of limits that a run may set itself: the words of an odd one, to be replaced. */
function limitSentence(verdict: Verdict, name: LimitName, { policy, plan }: ReportFacts): string {
  // A run may set these two where the profile does not.
  const value = policy.limits[name] === null && name !== "wallTime" && name !== "output" ? null : odd.count;
  const limits = { ...policy.limits, [name]: value };
  const exec = { ...plan.exec, cpuMs: BigInt(odd.count), memoryBytes: BigInt(odd.size), processes: BigInt(odd.count) };
  const run = { policy: { ...policy, limits }, plan: { ...plan, exec }, record: record({ stdoutTruncated: 1 }) };
  return marked(messageFor(verdict, run), [
    ...(value === null ? [] : [[formatLimit(name, value), name] as const]),
    ...(verdict === "output-limit" ? [["stdout", "stream"] as const] : []),
    ...(verdict === "process-limit" ? [exited] : []),
  ]);
}

interface ReportFacts {
  readonly policy: ResolvedPolicy;
  readonly plan: LaunchPlan;
}

/** Disk limits are the sandbox's, which no run changes: their words stand as they are. */
function diskSentences(
  facts: ReportFacts,
): Readonly<
  Record<"diskKill" | "diskLimit" | `over${"Disk" | "Inodes" | "Either"}` | "spaceFull" | "filesFull" | "scratchLimits", string>
> {
  const run = (figures: Partial<RunRecord>) => ({ ...facts, record: record(figures) });
  const most = notMeasured - 1n;
  const limits = scratchWords(run({}));
  const full = (figures: Partial<RunRecord>) => scratchWords(run(figures));
  const killed = run({ evidence: 1 << evidenceNames.indexOf("diskKill") });
  return {
    diskKill: marked(messageFor("disk-limit", killed), [[overfilledWords(killed), "over"]]),
    diskLimit: marked(messageFor("disk-limit", run({})), [exited, [`(${limits})`, "full"]]).replace("{full}", "({full})"),
    overDisk: overfilledWords(run({ diskBytes: most })),
    overInodes: overfilledWords(run({ diskInodes: most })),
    overEither: overfilledWords(run({})),
    spaceFull: facts.policy.limits.disk === null ? "" : full({ diskBytes: most }),
    filesFull: facts.policy.limits.inodes === null ? "" : full({ diskInodes: most }),
    scratchLimits: limits,
  };
}

/** By Sentence. */
export function reportSentences(facts: ReportFacts): readonly string[] {
  const { policy, plan } = facts;
  const words = (verdict: Verdict, killedFor: string | null = null) => messageFor(verdict, { policy, plan, record: record({}), killedFor });
  const subject = (facts: Partial<RunRecord>, parts: Parameters<typeof planOf>[0] = {}) =>
    stepSubject(record({ errorIndex: 0, ...facts }), planOf({ sandbox: {}, exec: {}, ...parts }));
  const file = { hostPath: "{source}", target: "{target}" };
  const sentences: Readonly<Record<Sentence, string>> = {
    ...diskSentences(facts),
    exited: marked(ending(record({})), [[String(odd.code), "code"]]),
    killedBy: marked(ending(record({ signal: odd.signal })), [[signalWords(odd.signal), "signal"]]),
    memoryLimit: limitSentence("memory-limit", "memory", facts),
    cpuTimeLimit: limitSentence("cpu-time-limit", "cpuTime", facts),
    wallTimeLimit: limitSentence("wall-time-limit", "wallTime", facts),
    outputLimit: limitSentence("output-limit", "output", facts),
    processLimit: limitSentence("process-limit", "processes", facts),
    callDenied: words("syscall-denied", "{call}"),
    filterDenied: words("syscall-denied"),
    cancelledBy: marked(cancelWords(odd.signal), [[signalName(odd.signal), "cancelSignal"]]),
    cancelled: cancelWords(0),
    stepFailed: stepMessage("{step}", "{stage}", "{subject}{about}{reason}"),
    landlockRule: subject({ errorStep: "landlock" }, { sandbox: { landlock: [{ path: "{path}" }] } }),
    resourceLimit: subject({ errorStep: "rlimits" }, { exec: { rlimits: [{ resource: "{resource}" }] } }),
    cgroupGone: subject({ errorStep: "supervise", errorText: "/" }),
    delivery: subject({ errorStep: "deliver", errorText: "{text}" }),
    copyingIn: subject({ errorStep: "filesIn" }, { sandbox: { workPath: "{work}" }, exec: { filesIn: [file] } }),
    initDied: initDiedMessage("{about}{reason}"),
    outOfMemory: outOfMemory.message,
    outOfMemoryHint: outOfMemory.hint ?? "",
    ...mountHints,
    leftover: leftoverWords({ leftovers: 1 }),
    leftovers: marked(leftoverWords({ leftovers: odd.count }), [[String(odd.count), "leftovers"]]),
    notCopied,
  };
  return enums.Sentence.map((name) => sentences[name]);
}

/** By StartFailure. */
export function startFailureSentences(): readonly { readonly message: string; readonly hint: string }[] {
  const plan = planOf({ exec: { argv: ["{command}"], cwd: "{cwd}" } });
  const errno: Mark = [errnoWords(odd.errno), "errno"];
  return enums.StartFailure.map((startFailure: StartFailure) => {
    const { message, hint } = startFailureWords(record({ startFailure, errorText: "{text}", errorErrno: odd.errno }), plan);
    const isAny = startFailure === "none" || startFailure === "other";
    const sentence = isAny ? marked(message, [["'{text}': ", "which"]]) : message;
    return { message: sentence.includes(errno[0]) ? marked(sentence, [errno]) : sentence, hint: hint ?? "" };
  });
}

/** By FsKind. */
export function entrySentences(): readonly string[] {
  return enums.FsKind.map((kind) => entryWords({ kind, source: "{source}", target: "{target}" } as FsEntry));
}

/** By OutputFailure. */
export function outputSentences(): readonly string[] {
  const file = { source: "", hostPath: "{path}", maxBytes: BigInt(odd.size) };
  return enums.OutputFailure.map((failure: OutputFailure) => {
    const words = outputError({ index: 0, failure, error: odd.errno, reserved: 0, bytes: 0n }, file) ?? "";
    const marks: readonly Mark[] = [
      [formatSize(odd.size), "size"],
      [`: ${errnoWords(odd.errno)}`, "reason"],
    ];
    return marked(
      words,
      marks.filter(([text]) => words.includes(text)),
    );
  });
}
