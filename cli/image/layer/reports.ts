import { applyStageNames, doneLayout, frameLayout, reportKind, reportKindNames, reportLayout } from "./entries.gen.ts";

/** Where belljar-apply met something, and the errno. */
export interface StageReport {
  readonly index: number;
  readonly stage: (typeof applyStageNames)[number];
  /** 0: no errno explains it. */
  readonly errno: number;
  /** Of one character per byte: the path, and for a warning perhaps what it is about. */
  readonly texts: readonly string[];
}

export interface DoneReport {
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
  readonly whiteouts: number;
  readonly refusedXattrs: number;
  readonly clampedTimes: number;
}

export interface Reports {
  readonly warnings: readonly StageReport[];
  readonly failed: StageReport | null;
  readonly done: DoneReport | null;
}

/** More than the helper ever sends. */
const maxBytes = 1024 * 1024;

export interface ReportReader {
  write(chunk: Buffer): void;
  /** What was said; throws an Error when it is not to be understood. */
  end(): Reports;
}

function stageReport(payload: Buffer): StageReport {
  if (payload.length < reportLayout.size) throw new Error("a report that is too short");
  const stage = applyStageNames[payload.readUInt32LE(reportLayout.stage)];
  if (stage === undefined) throw new Error("a report of an unknown stage");
  return {
    index: payload.readUInt32LE(reportLayout.index),
    stage,
    errno: payload.readUInt32LE(reportLayout.error),
    texts: payload.toString("latin1", reportLayout.size).split("\0").slice(0, -1),
  };
}

function doneReport(payload: Buffer): DoneReport {
  if (payload.length !== doneLayout.size) throw new Error("a last report of the wrong size");
  const number = (at: number): number => Number(payload.readBigUInt64LE(at));
  return {
    files: number(doneLayout.files),
    directories: number(doneLayout.directories),
    bytes: number(doneLayout.bytes),
    whiteouts: number(doneLayout.whiteouts),
    refusedXattrs: number(doneLayout.refusedXattrs),
    clampedTimes: number(doneLayout.clampedTimes),
  };
}

/** Collects what belljar-apply writes to its stdout. */
export function reportReader(): ReportReader {
  const chunks: Buffer[] = [];
  let have = 0;
  return {
    write(chunk) {
      have += chunk.length;
      if (have <= maxBytes) chunks.push(chunk);
    },
    end() {
      if (have > maxBytes) throw new Error("more reports than there can be");
      const bytes = Buffer.concat(chunks);
      const warnings: StageReport[] = [];
      let failed: StageReport | null = null;
      let done: DoneReport | null = null;
      for (let at = 0; at < bytes.length; ) {
        if (bytes.length - at < frameLayout.size) throw new Error("a report that is cut off");
        const kind = bytes.readUInt32LE(at + frameLayout.kind);
        const end = at + frameLayout.size + bytes.readUInt32LE(at + frameLayout.length);
        if (end > bytes.length) throw new Error("a report that is cut off");
        const payload = bytes.subarray(at + frameLayout.size, end);
        if (kind === reportKind.warning) warnings.push(stageReport(payload));
        else if (kind === reportKind.failed) failed = stageReport(payload);
        else if (kind === reportKind.done) done = doneReport(payload);
        else throw new Error(`a report of the unknown kind ${reportKindNames[kind] ?? kind}`);
        at = end;
      }
      return { warnings, failed, done };
    },
  };
}
