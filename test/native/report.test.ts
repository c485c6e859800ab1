// The launcher tells of a run in the very words of the command: the same records, through both, byte for byte.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { deniedText } from "../../cli/output/denied.ts";
import { outputsText, usageText, verdictText } from "../../cli/output/human.ts";
import { runDocument } from "../../cli/output/json.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import { compileReport } from "../../policy/verdict/compiled-report.ts";
import { type AuditContext, denialsOf, syscallNamer } from "../../policy/verdict/denials.ts";
import { exitCodeFor, makeReport, type RunReport, verdictTable } from "../../policy/verdict/index.ts";
import {
  decodeDenial,
  decodeOutput,
  decodeRecord,
  decodeSample,
  encodeExec,
  encodeReport,
  encodeSandbox,
} from "../../policy/wire/index.ts";
import {
  type DenialRecord,
  enums,
  type OutputRecord,
  type RunRecord,
  type SampleRecord,
  steps,
  wireRecords,
} from "../../policy/wire/wire.gen.ts";
import { launcherPath } from "../helpers/launcher.ts";
import { tempDir } from "../helpers/places.ts";
import { cgroup2, compile, facts, noLimits, policy } from "../unit/compile/fixtures.ts";
import { encodeFixed, okRecord } from "../unit/wire/samples.ts";

const program = join(dirname(launcherPath), "tests/report_test");
const unmeasured = 0xffff_ffff_ffff_ffffn;
const streams = { stdout: Buffer.from("hé\n\u0001\u2028😀"), stderr: Buffer.from([0xff, 0xfe, 0x61]) };

const audit: AuditContext = {
  arch: "x86_64",
  slots: [
    { action: "errno", error: 1, outcome: "errno:EPERM", rule: "base#mounts" },
    { action: "errno", error: 1, outcome: "errno:EPERM", rule: "default#namespaces" },
    { action: "kill", error: 0, outcome: "kill", rule: 'FILE "\u202e"#seccomp.syscalls[0]' },
    { action: "errno", error: 38, outcome: "errno:ENOSYS", rule: "default#new" },
    { action: "pass", error: 0, outcome: "allow", rule: "default#allowed" },
  ],
  arguments: [
    { syscall: 16, index: 1, mask: 0xffff_ffffn },
    { syscall: 41, index: 0, mask: 0xffff_ffffn },
    { syscall: 41, index: 2, mask: 0xffff_ffffn },
    { syscall: 56, index: 0, mask: 0xffff_ffff_ffff_ffffn },
    { syscall: 250, index: 0, mask: 0xffffn },
  ],
};

const odd = ["a.out", "ü\n\r\t\u2066", "deep/\u0001b😀", "x\u00ad{code}{"] as const;
const filesOut = odd.map((source, i) => ({ source, hostPath: `/h/${source}`, maxBytes: [0, 7, 1_048_576, 2 ** 40][i] ?? 1 }));
const filesIn = odd.map((target) => ({ hostPath: `/in/${target}`, target, mode: 0o644 }));

const policies: Readonly<Record<string, ResolvedPolicy>> = {
  judge: policy,
  unlimited: { ...policy, limits: noLimits },
  pinned: {
    ...policy,
    name: 'p"\u200b',
    limits: { ...policy.limits, cpus: 1.25, cpuset: "0", inodes: null, memory: 100_000_001, wallTime: 120_300, output: 1_048_575 },
    mounts: [
      { kind: "bind", source: "/s\u202e/\n", target: "/t", access: "read-write", optional: false, comment: null },
    ] as unknown as ResolvedPolicy["mounts"],
  },
};

const unsigned = (max: number) => fc.integer({ min: 0, max });
const oneOf = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const time = fc.oneof(fc.constant(unmeasured), fc.bigInt({ min: 0n, max: 10n ** 13n }), fc.bigInt({ min: 0n, max: 10n ** 7n }));
const figure = fc.oneof(oneOf(unmeasured, 0n, 1n, 67_108_864n, 67_108_865n, 10_000n, 16_777_216n), fc.bigInt({ min: 0n, max: 2n ** 53n }));
/** Any bytes, as paths are, and often those that need care. */
const bytes = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  oneOf("memory", "/sys/fs/cgroup/x", "stdout", "/in/a.out", "/usr", "plan", "a\nb\r'", "{text}").map((text) => Buffer.from(text)),
  fc.uint8Array({ minLength: 1, maxLength: 60 }).map((raw) => Buffer.from(raw.map((byte) => (byte === 0 ? 1 : byte)))),
  fc
    .array(oneOf(0xc3, 0xa9, 0xe2, 0x80, 0xae, 0xf0, 0x9f, 0x98, 0xed, 0xa0, 0x61, 0xf5), { minLength: 1, maxLength: 255 })
    .map((raw) => Buffer.from(raw)),
);

const records: fc.Arbitrary<RunRecord> = fc.record({
  ...(Object.fromEntries(Object.entries(okRecord).map(([name, value]) => [name, fc.constant(value)])) as Record<keyof RunRecord, never>),
  verdict: unsigned(verdictTable.length - 1),
  evidence: unsigned(2 ** 13 - 1),
  exitCode: fc.integer({ min: -1, max: 255 }),
  signal: oneOf(0, 0, 1, 9, 11, 31, 33, 34, 40, 64),
  cancelSignal: oneOf(0, 2, 15, 1),
  errorStage: oneOf(...enums.Stage),
  errorStep: fc.oneof(
    oneOf(...steps.map(({ name }) => name)),
    oneOf("filesystem", "supervise", "deliver", "filesIn", "landlock", "rlimits"),
  ),
  errorIndex: unsigned(40),
  errorErrno: oneOf(0, 2, -2, 13, 17, 20, 30, -30, 40, 4095),
  startFailure: oneOf(...enums.StartFailure),
  cpuExact: unsigned(1),
  cpuBy: oneOf("cgroup2", "perf", "supervisor"),
  landlockAbi: oneOf(0, 7),
  seccompEnforced: unsigned(1),
  audit: oneOf(...enums.AuditState),
  killedFor: oneOf(0xffff_ffff, 101, 9999),
  stdoutTruncated: unsigned(1),
  stderrTruncated: unsigned(1),
  diskFull: unsigned(2),
  ...{ wallNs: time, setupNs: time, cpuNs: time, userNs: time, systemNs: time, sampleStepNs: oneOf(0n, 50_000_000n) },
  ...{ memoryPeak: figure, oomKills: figure, processesPeak: figure, processLimitHits: figure, diskBytes: figure, diskInodes: figure },
  ...{ stdoutBytes: figure, stderrBytes: figure, denialsLost: oneOf(0n, 0n, 3n) },
  mechanisms: fc.array(unsigned(enums.Mechanism.length - 1), { minLength: 15, maxLength: 15 }),
  leftovers: oneOf(0, 0, 1, 2),
}) as fc.Arbitrary<RunRecord>;

const outputs: fc.Arbitrary<readonly OutputRecord[]> = fc.array(
  fc.record({
    index: unsigned(4),
    failure: oneOf(...enums.OutputFailure),
    error: oneOf(0, 2, 13, 4095),
    reserved: fc.constant(0),
    bytes: figure,
  }),
  { maxLength: 5 },
);
const value = fc.oneof(oneOf(0n, 1n, 21_505n, 0x1000_0000n, 0x1002_0011n, 4095n, 4096n), fc.bigInt({ min: 0n, max: unmeasured }));
const denials: fc.Arbitrary<readonly DenialRecord[]> = fc.array(
  fc.record({
    ...{
      syscall: oneOf(16, 41, 56, 101, 250, 9999),
      slot: unsigned(6),
      argumentsKept: unsigned(1),
      caller: fc.constant("program" as const),
    },
    ...{ count: oneOf(1n, 1n, 5n, 2n ** 40n), callerName: fc.constant("x") },
    ...{ argument0: value, argument1: value, argument2: value, argument3: value, argument4: value, argument5: value },
  }),
  { maxLength: 6 },
);
const samples: fc.Arbitrary<readonly SampleRecord[]> = fc.array(
  fc.record({
    ...{ atNs: fc.bigInt({ min: 0n, max: 10n ** 12n }), cpuNs: time, memoryBytes: figure, processes: figure },
    ...{ cpuExact: unsigned(1), reserved: fc.constant(0) },
  }),
  { maxLength: 4 },
);

function message(kind: (typeof enums.MessageKind)[number], payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(enums.MessageKind.indexOf(kind), 0);
  header.writeUInt32LE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

function recordBytes(record: RunRecord, text: Uint8Array): Uint8Array {
  const encoded = encodeFixed("RunRecord", { ...record });
  encoded.set(text.subarray(0, 255), wireRecords["RunRecord"]?.fields.find(({ name }) => name === "errorText")?.offset ?? 0);
  return encoded;
}

/** The exit status that `belljar run` has of a report. */
function statusOf(report: RunReport): number {
  const incomplete = report.verdict === "ok" && report.outputs.some(({ error }) => error !== null);
  return incomplete ? 125 : exitCodeFor(report);
}

test.each(Object.keys(policies))("records of any kind, under limits of '%s'", (name) => {
  const given = policies[name] ?? policy;
  const { plan: compiled } = compile({
    policy: given,
    facts: { cgroup: cgroup2 },
    request: { filesOut, filesIn, command: ["p\nq\u202e", "x"] },
  });
  const exec = { ...compiled.exec, auditFilter: compiled.exec.filter };
  const plan = { ...compiled, exec };
  const context = { policy: given, plan, profileDigest: "sha256:p", filterDigest: "sha256:f", image: "i\u2028@sha256:1" };
  const words = compileReport({
    ...{ ...context, audit, host: facts, warnings: [], machine: "m", kernel: "k" },
    ...{ hasCommand: false, entrypoint: [], inheritEnv: [], filesCwd: "/work", outMaxBytes: 1, captureBytes: 1 },
  });
  const file = join(tempDir("report"), name);
  writeFileSync(file, Buffer.concat([encodeSandbox(plan.sandbox), encodeExec(exec), encodeReport(words)]));
  const runs = fc.sample(fc.tuple(records, bytes, outputs, fc.tuple(denials, samples)), { numRuns: 1500, seed: 7 });
  const input = Buffer.concat(
    runs.flatMap(([record, text, copied, [refused, series]]) => [
      ...copied.map((one) => message("output", encodeFixed("OutputRecord", { ...one }))),
      ...refused.map((one) => message("denial", encodeFixed("DenialRecord", { ...one }))),
      ...series.map((one) => message("sample", encodeFixed("SampleRecord", { ...one }))),
      message("record", recordBytes(record, text)),
    ]),
  );
  const { status, stdout, stderr } = spawnSync(program, ["render", file], {
    ...{ input, maxBuffer: 2 ** 28, timeout: 50_000, killSignal: "SIGKILL", env: { ...process.env, TERM: "dumb" } },
  });
  const documents = stdout.toString().split("\u001e");
  const lines = stderr.toString().split("\u001e");
  expect({ status, documents: documents.length, lines: lines.length }).toEqual({
    status: 0,
    documents: runs.length + 1,
    lines: runs.length + 1,
  });
  runs.forEach(([one, text, copied, [refused, series]], i) => {
    const record = decodeRecord(recordBytes(one, text));
    const report = makeReport({
      ...context,
      record,
      outputs: copied.map((output) => decodeOutput(encodeFixed("OutputRecord", { ...output }))),
      samples: series.map((sample) => decodeSample(encodeFixed("SampleRecord", { ...sample }))),
      denials: denialsOf(
        refused.map((denial) => decodeDenial(encodeFixed("DenialRecord", { ...denial }))),
        record,
        audit,
      ),
      killedFor: record.killedFor === 0xffff_ffff ? null : syscallNamer("x86_64")(record.killedFor),
    });
    expect(documents[i]).toBe(`${runDocument(report, streams.stdout, streams.stderr)}${statusOf(report)}\n`);
    const told = report.denials ?? [];
    const verdict = verdictText(report);
    const denied = told.length === 0 ? "" : deniedText(told);
    expect(lines[i]).toBe(`${usageText(report)}${verdict}${denied}${outputsText(report)}`);
  });
});
