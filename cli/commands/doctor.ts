import { machine, release } from "node:os";
import { scopeUnit } from "../../policy/compile/cgroup.ts";
import type { CgroupFacts } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import { becomeOrdinary } from "../host/account.ts";
import { limitMechanisms, overlayChoice } from "../host/capabilities.ts";
import { causeContext } from "../host/causes.ts";
import { type CgroupSurvey, prepareCgroup, surveyCgroups } from "../host/cgroup-delegation.ts";
import { loadConfig } from "../host/config.ts";
import { type Check, type CheckGroup, type CheckStatus, diagnose } from "../host/diagnosis.ts";
import { type ProbeAnswers, probeByLauncher, tryCgroups } from "../host/doctor-probe.ts";
import { folderUid, userNameOf } from "../host/facts.ts";
import { findCommand } from "../host/subid.ts";
import { enterScope } from "../host/systemd-scope.ts";
import { type Paint, painter, wantsColour } from "../output/human.ts";
import { factsDocument } from "../output/json.ts";
import { writeStdout } from "../output/streams.ts";
import { printable } from "../output/terminal.ts";
import { launcherPath } from "../run/launcher.ts";
import { listPools, type PoolFacts } from "../server/list.ts";

/** The document of `doctor --json`. */
export interface DoctorReport {
  readonly schemaVersion: 1;
  /** A run with the default profile can work here. */
  readonly ok: boolean;
  readonly host: { readonly kernel: string; readonly arch: string; readonly node: string };
  readonly account: { readonly uid: number; readonly gid: number; readonly name: string };
  readonly checks: readonly Check[];
  /** What would enforce each limit; null when the probes could not be made. */
  readonly limits: ReturnType<typeof limitMechanisms> | null;
  readonly cgroup: CgroupFacts | null;
  readonly images: { readonly overlayDriver: ReturnType<typeof overlayChoice> } | null;
  /** What `belljar serve` keeps ready for this user. */
  readonly pools: readonly PoolFacts[];
}

const failed = (name: string, detail: string, remedy: string | null): Check => ({
  group: "isolation",
  name,
  status: "missing",
  required: true,
  detail,
  remedy,
});

function header(): Pick<DoctorReport, "schemaVersion" | "host" | "account"> {
  const uid = process.getuid?.() ?? 0;
  return {
    schemaVersion: 1,
    host: { kernel: release(), arch: machine(), node: process.versions.node },
    account: { uid, gid: process.getgid?.() ?? 0, name: userNameOf(uid) },
  };
}

const cannotProbe = (check: Check): DoctorReport => ({
  ...header(),
  ok: false,
  checks: [check],
  limits: null,
  cgroup: null,
  images: null,
  pools: [],
});

/** Becomes the ordinary account; what stands in the way is the first thing to tell. */
function accountProblem(runAs: string | undefined): Check | null {
  try {
    becomeOrdinary({ runAs, configured: loadConfig().runAs, workingDirectory: "any" });
    return null;
  } catch (error) {
    if (!(error instanceof BelljarError)) throw error;
    return failed(error.code === "config-invalid" ? "configuration" : "account", error.message, error.hint);
  }
}

interface TriedCgroups {
  readonly survey: CgroupSurvey;
  readonly failures: readonly string[];
}

/** Does what a run would do, so that what is told is what a run would get. */
async function trySurveyed(survey: () => CgroupSurvey): Promise<TriedCgroups> {
  const found = survey();
  const { facts } = found;
  if (facts.kind !== "cgroup2" || facts.scope !== true) {
    const prepared = prepareCgroup(found);
    return { survey: { ...found, facts: prepared }, failures: await tryCgroups(prepared) };
  }
  const unit = scopeUnit(`belljar-run-${process.pid}-doctor`);
  try {
    await enterScope({ unit, path: `${facts.parent}/${unit}` }, process.pid);
  } catch (error) {
    return { survey: found, failures: [(error as Error).message] };
  }
  const within = prepareCgroup(survey());
  const controllers = within.kind === "cgroup2" ? within.controllers : [];
  return { survey: { ...found, facts: { ...facts, controllers } }, failures: await tryCgroups(within) };
}

async function examine(probe: ProbeAnswers): Promise<DoctorReport> {
  const head = header();
  const context = causeContext(head.account.name);
  const config = loadConfig();
  const uid = folderUid(context.files, head.account.uid);
  const { survey, failures } = await trySurveyed(() =>
    surveyCgroups({ files: context.files, uid, pid: process.pid, config: config.cgroup }),
  );
  const checks = diagnose({ context, probe, survey, cgroupFailures: failures });
  return {
    ...head,
    ok: checks.every((check) => !check.required || check.status === "ok"),
    checks,
    limits: limitMechanisms(survey.facts, probe["perfClock"]?.ok === true),
    cgroup: survey.facts,
    images: { overlayDriver: overlayChoice(probe, findCommand("fuse-overlayfs", process.env["PATH"])) },
    pools: listPools(process.env),
  };
}

async function makeReport(runAs: string | undefined): Promise<DoctorReport> {
  const problem = accountProblem(runAs);
  if (problem !== null) return cannotProbe(problem);
  const launcher = launcherPath();
  const result = probeByLauncher(launcher);
  if ("failure" in result) {
    return cannotProbe(failed("launcher", `'${launcher}' ${result.failure}`, "install belljar again, or in a checkout: npm run build"));
  }
  return examine(result.answers);
}

const marks: Readonly<Record<CheckStatus, readonly [mark: string, style: "green" | "red" | "yellow" | "dim"]>> = {
  ok: ["✓", "green"],
  missing: ["✗", "red"],
  unknown: ["?", "yellow"],
  note: ["-", "dim"],
};
const titles: Readonly<Record<CheckGroup, string>> = {
  isolation: "Isolation",
  ids: "Subordinate ids (user.mode subordinate)",
  cgroups: "Control groups of this session",
  images: "Images",
  measuring: "Measuring",
  tools: "Programs outside /usr",
};

function checkLines({ name, status, required, detail, remedy }: Check, paint: Paint): readonly string[] {
  const [mark, style] = marks[status];
  // What a default run does without is no alarm.
  const line = `  ${paint(status === "missing" && !required ? "yellow" : style, mark)} ${printable(name)}: ${printable(detail)}`;
  return remedy === null ? [line] : [line, `    ${paint("bold", status === "note" ? "hint:" : "remedy:")} ${printable(remedy)}`];
}

function poolLine({ profile, image, size, cgroup, path }: PoolFacts): string {
  if (profile === null) return `  - another build's, which runs of this one pass over: ${printable(path)}`;
  const what = `profile ${profile}${image === null ? "" : ` on ${image}`}`;
  return `  - ${printable(`${what}: ${size} sandboxes ready, ${cgroup === "none" ? "no cgroup" : `limits by ${cgroup}`}, in ${path}`)}`;
}

/** The report for people: grouped, each missing thing with what to do about it. */
export function doctorText(report: DoctorReport, paint: Paint): string {
  const { host, account, checks, limits, images, pools } = report;
  const lines = [printable(`belljar on Linux ${host.kernel} (${host.arch}), Node ${host.node}, as ${account.name} (uid ${account.uid})`)];
  for (const group of Object.keys(titles) as CheckGroup[]) {
    const rows = checks.filter((check) => check.group === group);
    if (rows.length > 0) lines.push("", paint("bold", titles[group]), ...rows.flatMap((row) => checkLines(row, paint)));
  }
  if (pools.length > 0) lines.push("", paint("bold", "Run servers"), ...pools.map(poolLine));
  if (limits !== null) {
    lines.push(
      "",
      paint("bold", "What that means"),
      `  limits: ${Object.entries(limits)
        .map(([limit, by]) => `${limit} ${by}`)
        .join(", ")}`,
    );
    const loose = (["memory", "processes"] as const).filter((name) => !["cgroup1", "cgroup2"].includes(limits[name]));
    if (limits.memory === "supervisor")
      lines.push("  memory is sampled, so a fast program can pass its limit for a moment; a profile that requires it is refused");
    if (loose.includes("processes"))
      lines.push("  processes are held by rlimit for the sandbox as a whole; how many there were is not measured");
  }
  if (images !== null) lines.push(`  images: --overlay-driver auto takes ${images.overlayDriver}`);
  lines.push("", report.ok ? paint("green", "A default run works here.") : paint("red", "A default run cannot work here."));
  return `${lines.join("\n")}\n`;
}

/** `belljar doctor`: what this host can do, and the remedy for the rest. Returns 0 when a default run can work, else 1. */
export async function doctorCommand({ json, runAs }: { readonly json: boolean; readonly runAs?: string }): Promise<number> {
  const report = await makeReport(runAs);
  const paint = painter(wantsColour(process.stdout, process.env));
  await writeStdout(json ? factsDocument(report) : doctorText(report, paint));
  return report.ok ? 0 : 1;
}
