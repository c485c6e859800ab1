import type { PullEvent } from "../image/pull-events.ts";
import type { UnpackProgress } from "../image/unpack.ts";
import type { ImageProgress } from "../run/layered.ts";
import { type Progress, type ProgressTarget, pullProgress } from "./progress.ts";
import { writeStderr } from "./streams.ts";

const redrawMs = 100;
const clearLine = "\r\u001b[2K";

/** What a run on an image does before it can start, for somebody at a terminal: bars of the pull, then one line about unpacking. */
export function imageProgress(): ImageProgress {
  const target: ProgressTarget = {
    isTerminal: process.env["TERM"] !== "dumb",
    columns: () => process.stderr.columns || 80,
    write: writeStderr,
    now: () => performance.now(),
  };
  let pulling: Progress | null = null;
  let line = false;
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  const erase = (): void => {
    if (line) writeStderr(clearLine);
    line = false;
  };
  return {
    pull: (event: PullEvent) => {
      pulling ??= pullProgress(target);
      pulling.show(event);
    },
    unpack: ({ layer, layers }: UnpackProgress) => {
      if (!target.isTerminal || performance.now() - drawnAtMs < redrawMs) return;
      drawnAtMs = performance.now();
      erase();
      writeStderr(`belljar: unpacking layer ${layer + 1} of ${layers}`);
      line = true;
    },
    end: () => {
      pulling?.end();
      erase();
    },
  };
}
