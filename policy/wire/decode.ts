/**
 * Decodes what the wire carries. For plans it replays the encoder's walk and refuses every byte that the encoder would
 * not have written, as the launcher does; tests and `profile compile --dump` use it. Records come from the launcher and
 * have a fixed size.
 */
import { BelljarError } from "../errors.ts";
import { verdictTable } from "../verdict/verdicts.gen.ts";
import { headerBytes } from "./checks.ts";
import { align, bad, must, type Reader, readRecord, recordOf, take } from "./reader.ts";
import {
  type DenialRecord,
  type ExecPlan,
  enums,
  type OutputRecord,
  type ReportPlan,
  type RunRecord,
  type SampleRecord,
  type SandboxPlan,
  wireMagic,
  wireMaxPlanBytes,
  wireVersion,
} from "./wire.gen.ts";

export type DecodedPart =
  | { readonly kind: "sandbox"; readonly plan: SandboxPlan }
  | { readonly kind: "exec"; readonly plan: ExecPlan }
  | { readonly kind: "report"; readonly plan: ReportPlan };

const roots = { sandbox: "SandboxPlan", exec: "ExecPlan", report: "ReportPlan" } as const;

/** One part of a plan. Throws BelljarError `internal` for anything but the one canonical encoding of a valid plan. */
export function decodePart(bytes: Uint8Array): DecodedPart {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  must(bytes.length >= headerBytes && bytes.length <= wireMaxPlanBytes && bytes.length % 8 === 0, "header", "wrong length");
  must(view.getBigUint64(0, true) === wireMagic, "header", "wrong magic");
  must(view.getUint32(12, true) === wireVersion, "header", "wrong version");
  must(view.getUint32(16, true) === bytes.length, "header", "wrong total size");
  must(view.getUint32(20, true) === headerBytes, "header", "wrong root offset");
  must(view.getBigUint64(24, true) === 0n, "header", "reserved bytes in use");
  const kind = enums.PlanKind[view.getUint32(8, true)];
  if (kind === undefined || kind === "none") throw bad("header", "unknown kind");
  const root = roots[kind];
  const reader: Reader = { bytes, view, cursor: headerBytes };
  const at = take(reader, { off: headerBytes, length: recordOf(root).size, path: kind });
  const plan = readRecord(reader, { at, name: root, path: kind });
  align(reader, kind);
  must(reader.cursor === bytes.length, kind, "bytes after the end");
  if (kind === "sandbox") return { kind, plan: plan as unknown as SandboxPlan };
  if (kind === "report") return { kind, plan: plan as unknown as ReportPlan };
  must((plan["argv"] as readonly string[]).length > 0, "exec.argv", "must not be empty");
  return { kind, plan: plan as unknown as ExecPlan };
}

/** The launcher's report of a run. Throws BelljarError `launcher-failed` for anything that this version did not write. */
export function decodeRecord(bytes: Uint8Array): RunRecord {
  const record = decodeFixed(bytes, "RunRecord") as unknown as RunRecord;
  if (record.magic !== wireMagic || record.version !== wireVersion || record.size !== recordOf("RunRecord").size)
    throw new BelljarError("launcher-failed", "the launcher's record has another format: launcher and command are of different versions");
  if (record.verdict >= verdictTable.length)
    throw new BelljarError("launcher-failed", `the launcher's record has no verdict (${record.verdict})`);
  return record;
}

/** What became of one file to copy out. Throws BelljarError `launcher-failed` for a malformed record. */
export function decodeOutput(bytes: Uint8Array): OutputRecord {
  return decodeFixed(bytes, "OutputRecord") as unknown as OutputRecord;
}

/** Calls that were refused, or noted. Throws BelljarError `launcher-failed` for a malformed record. */
export function decodeDenial(bytes: Uint8Array): DenialRecord {
  return decodeFixed(bytes, "DenialRecord") as unknown as DenialRecord;
}

/** Figures of one moment. Throws BelljarError `launcher-failed` for a malformed record. */
export function decodeSample(bytes: Uint8Array): SampleRecord {
  return decodeFixed(bytes, "SampleRecord") as unknown as SampleRecord;
}

function decodeFixed(bytes: Uint8Array, name: string): Record<string, unknown> {
  if (bytes.length !== recordOf(name).size)
    throw new BelljarError("launcher-failed", `the launcher sent ${bytes.length} bytes where ${recordOf(name).size} were due (${name})`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return readRecord({ bytes, view, cursor: null }, { at: 0, name, path: name });
  } catch (error) {
    throw new BelljarError("launcher-failed", "the launcher sent a malformed record", { cause: error });
  }
}
