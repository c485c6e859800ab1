import type { PullEvent } from "../image/pull-events.ts";
import type { UnpackProgress } from "../image/unpack.ts";
import type { ImageProgress } from "../run/layered.ts";
import { type Progress, pullProgress } from "./progress.ts";
import { stderrTarget } from "./progress-target.ts";

const redrawMs = 100;
const clearLine = "\r\u001b[2K";

/** What a run on an image does before it can start, for somebody at a terminal: bars of the pull, then one line about unpacking. */
export function imageProgress(): ImageProgress {
  const target = stderrTarget();
  let pulling: Progress | null = null;
  let line = false;
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  const erase = (): void => {
    if (line) target.write(clearLine);
    line = false;
  };
  return {
    pull: (event: PullEvent) => {
      pulling ??= pullProgress(target);
      pulling.show(event);
    },
    unpack: ({ layer, layers }: UnpackProgress) => {
      if (!target.isTerminal || target.now() - drawnAtMs < redrawMs) return;
      drawnAtMs = target.now();
      erase();
      target.write(`belljar: unpacking layer ${layer + 1} of ${layers}`);
      line = true;
    },
    end: () => {
      pulling?.end();
      erase();
    },
  };
}
