import { getSystemErrorMap } from "node:util";
import { BelljarError } from "../../../policy/errors.ts";
import { LayerProblem, shownPath } from "./problem.ts";
import type { StageReport } from "./reports.ts";

/** "no space left on device" */
export function errnoWords(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? `error ${errno}`;
}

const errnoName = (errno: number): string => getSystemErrorMap().get(-errno)?.[0] ?? "";

/** Of the disk or the machine, whatever the archive says. */
const ofTheHost = ["ENOSPC", "EDQUOT", "EIO", "EROFS", "ENOMEM", "EMFILE", "ENFILE", "EFBIG", "ESTALE"];

/** What an archive got wrong when the kernel refused it. */
function reasonOf({ stage, errno }: StageReport): string {
  const name = errnoName(errno);
  if (stage === "link" && name === "ENOENT") return "a hard link to something that is not there";
  if (stage === "link" && name === "EPERM") return "a hard link to a directory";
  if (name === "ELOOP") return "too many links on the way";
  if (name === "ENOTDIR") return "below something that is no directory";
  if (stage === "create" && name === "EINVAL") return "a name that is kept for whiteouts";
  return `${errnoWords(errno)} (${stage})`;
}

/** The helper's failure as an error of ours: the archive's fault is a LayerProblem, everything else names the host's remedy. */
export function applyFailure(doing: string, report: StageReport): Error {
  const { stage, errno, texts } = report;
  const path = texts[0] ?? "";
  const words = errnoWords(errno);
  if (stage === "namespace" || stage === "mapIds")
    return new BelljarError("guard-unavailable", `${doing}: making a user namespace: ${words} (${stage})`, {
      hint: "see what this host permits: belljar doctor",
    });
  if (stage === "protocol")
    return new BelljarError("internal", `${doing}: belljar-apply did not understand: ${words} at ${shownPath(path)}`);
  if (stage === "root" || stage === "lower")
    return new BelljarError("store-failed", `${doing}: ${shownPath(path)}: ${words}`, {
      hint: errnoName(errno) === "E2BIG" ? "belljar stacks at most 512 layers" : undefined,
    });
  if (stage === "whiteout" && ["EPERM", "EOPNOTSUPP"].includes(errnoName(errno)))
    return new BelljarError("store-failed", `${doing}: ${shownPath(path)}: the file system of the store takes no whiteouts: ${words}`, {
      hint: "set XDG_DATA_HOME to a folder on ext4, xfs, btrfs or tmpfs",
    });
  if (ofTheHost.includes(errnoName(errno))) return new BelljarError("store-failed", `${doing}: ${shownPath(path)}: ${words} (${stage})`);
  return new LayerProblem(`${shownPath(path)}: ${reasonOf(report)}`);
}
