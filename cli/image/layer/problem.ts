import { BelljarError } from "../../../policy/errors.ts";
import { printable } from "../../output/terminal.ts";

/** Something wrong with a layer, without yet knowing which: whoever unpacks puts the layer's name before it. */
export class LayerProblem extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.name = "LayerProblem";
  }
}

/** A path of an archive, held as one character per byte, as text that is safe to print. */
export function shownPath(latin1: string): string {
  return `'${printable(Buffer.from(latin1, "latin1").toString("utf8"))}'`;
}

export function layerError(doing: string, problem: LayerProblem): BelljarError {
  return new BelljarError("image-invalid", `${doing}: ${problem.message}`, { cause: problem });
}
