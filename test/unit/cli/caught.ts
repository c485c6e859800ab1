import { BelljarError } from "../../../policy/errors.ts";

/** The BelljarError that an action throws; anything else thrown goes on, and nothing thrown is undefined. */
export function caught(action: () => unknown): BelljarError | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof BelljarError) return error;
    throw error;
  }
}
