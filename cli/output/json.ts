import type { BelljarError } from "../../policy/errors.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";

/** Escaped as JSON allows, so that the document is the same to a program and harmless on a terminal (C0 is escaped already). */
const unsafe = /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

function serialize(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent);
  return `${text.replace(unsafe, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of valid UTF-8, else null. */
export function validText(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

function stream(name: "stdout" | "stderr", bytes: Uint8Array): Record<string, string> {
  const text = validText(bytes);
  if (text !== null) return { [name]: text };
  return { [`${name}Base64`]: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64") };
}

/** The one document of `belljar run --json`. A stream that is not valid UTF-8 is given as base64 under its own name. */
export function runDocument(report: RunReport, stdout: Uint8Array, stderr: Uint8Array): string {
  return serialize({ report, ...stream("stdout", stdout), ...stream("stderr", stderr) });
}

/** The one document of any command that failed under `--json`. */
export function errorDocument(error: BelljarError): string {
  return serialize({ error: { code: error.code, message: error.message, hint: error.hint } });
}

/** Facts for programs: indented, one document, a line feed at the end. */
export function factsDocument(facts: unknown): string {
  return serialize(facts, 2);
}
