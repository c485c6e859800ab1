import type { CgroupFacts } from "../../policy/compile/types.ts";
import type { StepName } from "../../policy/wire/wire.gen.ts";
import {
  appArmorRestriction,
  type CauseContext,
  type CheckedCause,
  coreEscapes,
  fuseClosed,
  helpersMissing,
  helperWithoutPrivileges,
  installCommand,
  landlockOff,
  noNewPrivs,
  noSubordinateIds,
} from "./causes.ts";
import type { CgroupSurvey } from "./cgroup-delegation.ts";
import { cgroupRemedy, scopeCommand } from "./cgroup-remedies.ts";
import type { ProbeAnswers } from "./doctor-probe.ts";
import { readNumber } from "./host-files.ts";
import { errnoName, findRemedy } from "./remedies.ts";
import { findCommand, subordinateFacts } from "./subid.ts";
import { interpreters, outsideTool, toolHint } from "./toolpaths.ts";

export type CheckStatus = "ok" | "missing" | "unknown" | "note";
export type CheckGroup = "isolation" | "ids" | "cgroups" | "images" | "measuring" | "tools";

export interface Check {
  readonly group: CheckGroup;
  readonly name: string;
  readonly status: CheckStatus;
  /** A default run cannot work without it. */
  readonly required: boolean;
  readonly detail: string;
  /** Only where the cause was checked. */
  readonly remedy: string | null;
}

export interface DiagnosisInput {
  readonly context: CauseContext;
  readonly probe: ProbeAnswers;
  readonly survey: CgroupSurvey;
  /** What failed when the surveyed cgroups were tried. */
  readonly cgroupFailures: readonly string[];
}

type Row = Omit<Check, "group">;
const ok = (name: string, detail: string, required = false): Row => ({ name, status: "ok", required, detail, remedy: null });
const note = (name: string, detail: string, remedy: string | null = null): Row => ({
  name,
  status: "note",
  required: false,
  detail,
  remedy,
});
const missing = (name: string, found: CheckedCause, required = false): Row => ({
  name,
  status: "missing",
  required,
  detail: found.cause,
  remedy: found.remedy,
});

/** A probe of the launcher as a row; where it failed, the cause is looked for as for a run that failed in that step. */
function tried(
  input: DiagnosisInput,
  probe: string,
  row: { readonly name: string; readonly detail: string; readonly required: boolean; readonly step: StepName; readonly text?: string },
): Row {
  const answer = input.probe[probe];
  const { name, required } = row;
  if (answer === undefined) return { name, status: "unknown", required, detail: "the launcher does not probe it", remedy: null };
  if (answer.ok) return ok(name, row.detail, required);
  const errno = errnoName(answer.errno);
  const found = findRemedy({ step: row.step, errno, text: row.text ?? "" }, input.context);
  if (found !== null) return missing(name, { cause: `refused (${errno}): ${found.cause}`, remedy: found.remedy }, required);
  return { name, status: "missing", required, detail: `refused (${errno}); none of the known causes holds here`, remedy: null };
}

function isolation(input: DiagnosisInput): readonly Row[] {
  const { probe, context } = input;
  const userns = tried(input, "userns", { name: "user namespaces", detail: "can be made by this user", required: true, step: "clone" });
  const rows: Row[] = [userns];
  // Everything below needs a user namespace first: its refusal would be told again and again.
  if (userns.status === "ok") {
    rows.push(
      tried(input, "mountns", { name: "mount namespaces", detail: "can be made", required: true, step: "privateMounts" }),
      tried(input, "netns", { name: "network namespaces", detail: "can be made", required: true, step: "loopback" }),
      tried(input, "forbidUserNamespaces", {
        name: "forbidding nested namespaces",
        detail: "works",
        required: true,
        step: "forbidUserNamespaces",
      }),
      tried(input, "proc", {
        name: "new procfs",
        detail: "can be mounted (processes only)",
        required: true,
        step: "filesystem",
        text: "/proc",
      }),
    );
    if (probe["proc"]?.ok === true && probe["procFull"]?.ok === false) {
      rows.push(tried(input, "procFull", { name: "full procfs", detail: "", required: false, step: "filesystem", text: "/proc" }));
    }
  }
  rows.push(tried(input, "seccomp", { name: "seccomp filters", detail: "can be installed", required: true, step: "seccomp" }));
  for (const [name, label] of [
    ["seccompNotify", "seccomp notification"],
    ["seccompWaitKillable", "seccomp killable waits"],
  ] as const) {
    const answer = probe[name];
    if (answer !== undefined) rows.push(answer.ok ? ok(label, "available") : note(label, `not available (${errnoName(answer.errno)})`));
  }
  rows.push(landlock(input));
  const restriction = appArmorRestriction(context);
  if (restriction !== null && userns.status === "ok") rows.push(note("AppArmor", `${restriction.cause}, but not for belljar-launch`));
  rows.push(coreFiles(context));
  const yama = readNumber(context.files, "/proc/sys/kernel/yama/ptrace_scope");
  rows.push(note("Yama", yama === null ? "not active" : `ptrace_scope ${yama}; a sandbox does not depend on it`));
  return rows;
}

/** Root on the host runs what core_pattern names, with a hostile crash as its input. */
function coreFiles({ files }: CauseContext): Row {
  const found = coreEscapes({ files });
  if (found !== null) return missing("core files", found);
  const pattern = files.text("/proc/sys/kernel/core_pattern");
  return pattern === null ? note("core files", "kernel.core_pattern cannot be read") : ok("core files", "a crash stays in the sandbox");
}

function landlock({ probe, context }: DiagnosisInput): Row {
  const answer = probe["landlock"];
  if (answer === undefined)
    return { name: "Landlock", status: "unknown", required: false, detail: "the launcher does not probe it", remedy: null };
  const abi = answer.value ?? 0;
  if (answer.ok && abi >= 2) return ok("Landlock", `ABI ${abi}`);
  if (answer.ok) return note("Landlock", `ABI ${abi} is not used: it refuses renames; kernel 5.19 brings ABI 2`);
  return missing(
    "Landlock",
    landlockOff(context) ?? {
      cause: `not available (${errnoName(answer.errno)})`,
      remedy: "a kernel of 5.19 or later that is built with Landlock",
    },
  );
}

function ids({ context }: DiagnosisInput): readonly Row[] {
  const name = "subordinate ids";
  if (context.uid === 0) return [note(name, "this user namespace knows of one id only")];
  const bad = helpersMissing(context) ?? noSubordinateIds(context) ?? noNewPrivs(context) ?? helperWithoutPrivileges(context);
  if (bad !== null) return [missing(name, bad)];
  const { uids, gids } = subordinateFacts(context.files, { name: context.userName, uid: context.uid });
  const sum = (ranges: typeof uids) => ranges.reduce((total, range) => total + range.count, 0);
  return [ok(name, `${sum(uids)} uids, ${sum(gids)} gids (user.mode subordinate works)`)];
}

function cgroup2({ parent, controllers, scope }: Extract<CgroupFacts, { readonly kind: "cgroup2" }>): readonly Row[] {
  const given = controllers.join(" ") || "no controllers, only CPU time and killing";
  if (scope !== true) return [ok("cgroup v2", `${parent}: ${given}`)];
  return [
    ok("cgroup v2", `a scope for each run, made by the user's manager of systemd in ${parent}: ${given}`),
    note(
      "scopes",
      "each takes its time; runs within one scope of a session's do without them",
      `start a shell in one: ${scopeCommand} $SHELL`,
    ),
  ];
}

function cgroups({ survey, cgroupFailures, context }: DiagnosisInput): readonly Row[] {
  const { facts, refusals } = survey;
  const rows: Row[] = [];
  if (facts.kind === "cgroup2") rows.push(...cgroup2(facts));
  if (facts.kind === "cgroup1")
    for (const { parent, controllers } of facts.hierarchies) rows.push(ok(`cgroup v1 ${controllers.join(",")}`, parent));
  for (const failure of cgroupFailures)
    rows.push({ name: "cgroup", status: "missing", required: false, detail: `a run would fail: ${failure}`, remedy: null });
  if (facts.kind === "none" && refusals.length === 0) rows.push(note("cgroup", facts.reason));
  const told = new Set<string>();
  for (const refusal of refusals) {
    const found = cgroupRemedy(refusal, refusals, context);
    // One command lifts all refusals of a kind.
    if (told.has(found.remedy)) continue;
    told.add(found.remedy);
    const names = [...new Set(refusals.filter((one) => one.remedy === refusal.remedy).flatMap((one) => one.controllers))];
    const row = missing(`cgroup v${refusal.version} ${names.join(",")}`, found);
    // Every limit but that one has a mechanism without it.
    rows.push(names.join() === "cpuset" ? { ...row, status: "note" } : row);
  }
  return rows;
}

function images(input: DiagnosisInput): readonly Row[] {
  const { probe, context } = input;
  const rows: Row[] = [];
  const overlay = probe["overlay"];
  if (overlay?.ok === true) rows.push(ok("kernel overlay", "works with its upper directory on tmpfs"));
  else if (probe["overlayMount"]?.ok === true)
    rows.push(
      note(
        "kernel overlay",
        "mounts, but tmpfs has no user extended attributes (they came with 6.6), so a removed directory could not be made again",
      ),
    );
  else if (overlay !== undefined)
    rows.push(note("kernel overlay", `cannot be mounted by this user (${errnoName(overlay.errno)}); it came with 5.11`));
  const program = findCommand("fuse-overlayfs", context.environment["PATH"]);
  const closed = fuseClosed(context);
  if (closed !== null) rows.push(missing("FUSE", closed));
  else rows.push(ok("FUSE", "/dev/fuse is open to this user"));
  if (program === null)
    rows.push(missing("fuse-overlayfs", { cause: "not installed", remedy: installCommand(context.files, { other: "fuse-overlayfs" }) }));
  else rows.push(ok("fuse-overlayfs", program));
  return rows;
}

function measuring({ probe, context }: DiagnosisInput): readonly Row[] {
  const level = readNumber(context.files, "/proc/sys/kernel/perf_event_paranoid");
  const shown = `kernel.perf_event_paranoid is ${level ?? "absent"}`;
  const answer = probe["perfClock"];
  const rows: Row[] = [];
  if (answer?.ok === true) rows.push(ok("perf task clock", shown));
  else if (level !== null && level > 2)
    rows.push(
      missing("perf task clock", {
        cause: shown,
        remedy: "sudo sysctl -w kernel.perf_event_paranoid=2 (needed only where no cgroup counts CPU time)",
      }),
    );
  else if (answer !== undefined)
    rows.push(note("perf task clock", level === null ? "not in this kernel" : `refused (${errnoName(answer.errno)}), though ${shown}`));
  const children = probe["procChildren"];
  if (children !== undefined)
    rows.push(
      children.ok
        ? ok("process lists", "/proc/<pid>/task/<tid>/children is there")
        : note("process lists", "the kernel was built without CONFIG_PROC_CHILDREN"),
    );
  return rows;
}

function tools({ context }: DiagnosisInput): readonly Row[] {
  return interpreters.flatMap((name) => {
    const tool = outsideTool(context.files, name, context.environment);
    return tool === null ? [] : [note(name, tool.path, toolHint(tool))];
  });
}

/** Everything that this host can and cannot do for a sandbox, as rows in the order of the report. */
export function diagnose(input: DiagnosisInput): readonly Check[] {
  const groups = { isolation, ids, cgroups, images, measuring, tools } satisfies Record<
    CheckGroup,
    (input: DiagnosisInput) => readonly Row[]
  >;
  return (Object.keys(groups) as CheckGroup[]).flatMap((group) => groups[group](input).map((row) => ({ group, ...row })));
}
