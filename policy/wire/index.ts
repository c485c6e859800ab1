export { isAbsolutePath, isRelativePath } from "./checks.ts";
export { type DecodedPart, decodeDenial, decodeOutput, decodePart, decodeRecord, decodeSample } from "./decode.ts";
export { type DumpOptions, dumpPlan } from "./dump.ts";
export { encodeExec, encodeReport, encodeSandbox } from "./encode.ts";
export { mechanismsByLimit } from "./mechanisms.ts";
