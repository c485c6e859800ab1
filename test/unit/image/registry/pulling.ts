import { type PullEvent, type PullOptions, pullImage } from "../../../../cli/image/pull.ts";
import { parseReference } from "../../../../cli/image/reference.ts";
import type { NetworkLimits } from "../../../../cli/image/registry/limits.ts";
import type { Store } from "../../../../cli/image/store.ts";
import type { BelljarError } from "../../../../policy/errors.ts";
import { temporaryStore } from "../store/fixtures.ts";

/** Short enough for tests, long enough for a busy machine. */
export const quick: Partial<NetworkLimits> = {
  firstBackoffMs: 5,
  maxBackoffMs: 20,
  idleTimeoutMs: 5000,
  answerTimeoutMs: 5000,
  deadlineMs: 20_000,
};

export interface Tried {
  readonly store: Store;
  readonly events: readonly PullEvent[];
  readonly warnings: readonly string[];
  readonly result: Awaited<ReturnType<typeof pullImage>> | null;
  readonly error: BelljarError | null;
}

/** Pulls into a store of its own, unless it is given one, and says what came of it. The environment is empty but for what is given. */
export async function tryPull(
  text: string,
  options: Partial<Omit<PullOptions, "reference">> & { readonly store?: Store } = {},
): Promise<Tried> {
  const store = options.store ?? (await temporaryStore());
  const events: PullEvent[] = [];
  const common = { config: {}, environment: {}, ...options, limits: { ...quick, ...options.limits } };
  const progress = (event: PullEvent): void => {
    events.push(event);
    options.progress?.(event);
  };
  const done = await pullImage({ ...common, reference: parseReference(text), store, progress }).then(
    (result) => ({ result, error: null }),
    (error: unknown) => ({ result: null, error: error as BelljarError }),
  );
  const warnings = events.flatMap((event) => (event.kind === "warning" ? [event.message] : []));
  return { store, events, warnings, ...done };
}
