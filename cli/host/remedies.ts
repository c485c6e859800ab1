import { constants } from "node:os";
import type { RunRecord, StepName } from "../../policy/wire/wire.gen.ts";
import {
  appArmorRestriction,
  type CauseCheck,
  type CauseContext,
  type CheckedCause,
  causeContext,
  chrooted,
  filtersExhausted,
  foreignSeccompFilter,
  fuseClosed,
  helpersMissing,
  helperWithoutPrivileges,
  landlockOff,
  namespaceLimitZero,
  noNewPrivs,
  noSubordinateIds,
  processLimitOfUser,
  procOverMounted,
  procSysReadOnly,
  selinuxRefusal,
  unprivilegedCloneOff,
} from "./causes.ts";
import { surveyCgroups } from "./cgroup-delegation.ts";
import { cgroupRemedy } from "./cgroup-remedies.ts";
import type { Config } from "./config.ts";
import { folderUid, userNameOf } from "./facts.ts";

/** Where something failed: a step of the launcher (or the one that a probe stands for), the error, and what it was about. */
export interface Symptom {
  readonly step: StepName;
  /** "EPERM" */
  readonly errno: string;
  readonly text: string;
}

interface Remedy {
  readonly steps: readonly StepName[];
  /** null: any. */
  readonly errnos: readonly string[] | null;
  readonly text?: RegExp;
  readonly check: CauseCheck;
}

const refused = ["EPERM", "EACCES"];
/** What needs privileges in the new user namespace: where these are taken away, the first of these steps fails. */
const privileged: readonly StepName[] = [
  "mapSelf",
  "forbidUserNamespaces",
  "privateMounts",
  "scratch",
  "filesystem",
  "sealScratch",
  "pivot",
  "hostname",
  "loopback",
];
const making: readonly StepName[] = ["clone"];

/** Tried in this order; the first whose cause holds is the hint. A cause that cannot be checked is not guessed. */
const remedies: readonly Remedy[] = [
  { steps: making, errnos: ["ENOSPC", "EUSERS", "EPERM"], check: namespaceLimitZero },
  { steps: making, errnos: refused, check: unprivilegedCloneOff },
  { steps: [...making, ...privileged], errnos: refused, check: appArmorRestriction },
  { steps: making, errnos: ["EPERM"], check: chrooted },
  { steps: [...making, "privateMounts", "scratch", "pivot"], errnos: ["EPERM", "EACCES", "ENOSYS"], check: foreignSeccompFilter },
  { steps: making, errnos: refused, check: selinuxRefusal },
  { steps: ["clone", "spawnTask"], errnos: ["EAGAIN"], check: processLimitOfUser },
  { steps: ["mapIds"], errnos: null, check: helpersMissing },
  { steps: ["mapIds"], errnos: null, check: noSubordinateIds },
  { steps: ["mapIds"], errnos: null, check: noNewPrivs },
  { steps: ["mapIds"], errnos: null, check: helperWithoutPrivileges },
  { steps: ["filesystem"], errnos: ["EPERM"], text: /proc/, check: procOverMounted },
  { steps: ["mapSelf", "forbidUserNamespaces"], errnos: ["EROFS", "EACCES", "EPERM"], check: procSysReadOnly },
  { steps: ["landlock"], errnos: ["ENOSYS", "EOPNOTSUPP"], check: landlockOff },
  { steps: ["guardInit", "seccomp", "companions", "companionStart"], errnos: ["ENOMEM"], check: filtersExhausted },
  { steps: ["companions", "companionStart"], errnos: null, check: fuseClosed },
  { steps: ["makeCgroup", "attachCgroup"], errnos: null, check: cgroupCause },
];

/** What the cgroup of this session lacks, as doctor would say it. */
function cgroupCause(context: CauseContext): CheckedCause | null {
  const { refusals } = surveyCgroups({ files: context.files, uid: folderUid(context.files, context.uid), pid: process.pid });
  const [first] = refusals;
  return first === undefined ? null : cgroupRemedy(first, refusals, context);
}

/** How a run would get cgroups with these controllers, or null where none of the known causes holds. */
export function remedyForControllers(
  controllers: readonly string[],
  {
    config,
    context = causeContext(userNameOf(process.getuid?.() ?? 0)),
  }: { readonly config: Config["cgroup"]; readonly context?: CauseContext },
): string | null {
  if (config?.use === "none") return 'take "use": "none" out of the cgroup settings in the configuration of belljar';
  const { files, uid } = context;
  // Version 2 counts CPU time without a controller, but in a cgroup all the same.
  const wanted = [...new Set([...controllers.filter((name) => name !== "cpuacct"), "memory", "pids"])];
  const { refusals } = surveyCgroups({ files, uid: folderUid(files, uid), pid: process.pid, config, wanted });
  const refusal = refusals.find((one) => one.controllers.some((name) => controllers.includes(name)));
  return refusal === undefined ? null : hintText(cgroupRemedy(refusal, refusals, context));
}

/** The checked cause of a failure and what removes it, or null when none of the known causes holds here. */
export function findRemedy(symptom: Symptom, context: CauseContext): CheckedCause | null {
  for (const { steps, errnos, text, check } of remedies) {
    if (!steps.includes(symptom.step) || (errnos !== null && !errnos.includes(symptom.errno))) continue;
    if (text !== undefined && !text.test(symptom.text)) continue;
    const found = check(context);
    if (found !== null) return found;
  }
  return null;
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** "EPERM" for 1; the number as text for one that has no name here. */
export function errnoName(errno: number): string {
  // EAGAIN and EWOULDBLOCK, EOPNOTSUPP and ENOTSUP share numbers.
  if (errno === constants.errno.EAGAIN) return "EAGAIN";
  if (errno === constants.errno.EOPNOTSUPP) return "EOPNOTSUPP";
  return errnoNames.get(errno) ?? String(errno);
}

/** One line for a person. */
export const hintText = ({ cause, remedy }: CheckedCause): string => `${cause}: ${remedy}`;

/** The hint of a run that failed in a step of ours: only after its cause was checked on this host, else null. */
export function remedyFor(
  record: Pick<RunRecord, "errorStep" | "errorErrno" | "errorText">,
  context: CauseContext = causeContext(userNameOf(process.getuid?.() ?? 0)),
): string | null {
  if (record.errorStep === "none") return null;
  const found = findRemedy({ step: record.errorStep, errno: errnoName(record.errorErrno), text: record.errorText }, context);
  return found === null ? null : hintText(found);
}
