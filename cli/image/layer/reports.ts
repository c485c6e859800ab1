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

/** Of a layer that is finished. */
export interface LayerReports {
  readonly done: DoneReport;
  readonly warnings: readonly StageReport[];
}

export interface Reports {
  /** Since the last layer that was finished. */
  readonly warnings: readonly StageReport[];
  readonly failed: StageReport | null;
  /** The last one. */
  readonly done: DoneReport | null;
}

/** More than the helper ever sends for one layer. */
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

/** Takes what belljar-apply writes to its stdout; `onDone` hears of each layer that is finished. */
export function reportReader(onDone: (layer: LayerReports) => void = () => undefined): ReportReader {
  let rest: Buffer = Buffer.alloc(0);
  /** Of one layer. */
  let have = 0;
  let warnings: StageReport[] = [];
  let failed: StageReport | null = null;
  let done: DoneReport | null = null;
  let problem: unknown = null;

  const take = (kind: number, payload: Buffer): void => {
    if (kind === reportKind.warning) warnings.push(stageReport(payload));
    else if (kind === reportKind.failed) failed = stageReport(payload);
    else if (kind === reportKind.done) {
      done = doneReport(payload);
      onDone({ done, warnings });
      warnings = [];
      have = 0;
    } else throw new Error(`a report of the unknown kind ${reportKindNames[kind] ?? kind}`);
  };
  const takeAll = (): void => {
    let at = 0;
    while (rest.length - at >= frameLayout.size) {
      const from = at + frameLayout.size;
      const end = from + rest.readUInt32LE(at + frameLayout.length);
      if (end > rest.length) break;
      take(rest.readUInt32LE(at + frameLayout.kind), rest.subarray(from, end));
      at = end;
    }
    rest = rest.subarray(at);
  };

  return {
    write(chunk) {
      if (problem !== null) return;
      have += chunk.length;
      try {
        if (have > maxBytes) throw new Error("more reports than there can be");
        rest = Buffer.concat([rest, chunk]);
        takeAll();
      } catch (error) {
        problem = error;
      }
    },
    end() {
      if (problem !== null) throw problem;
      if (rest.length > 0) throw new Error("a report that is cut off");
      return { warnings, failed, done };
    },
  };
}
