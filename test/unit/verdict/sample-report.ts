import { compileReport } from "../../../policy/verdict/compiled-report.ts";
import type { AuditContext } from "../../../policy/verdict/denials.ts";
import type { ReportPlan } from "../../../policy/wire/wire.gen.ts";
import { cgroup2, compile, facts, policy } from "../compile/fixtures.ts";

const audit: AuditContext = {
  arch: "x86_64",
  slots: [
    { action: "errno", error: 1, outcome: "errno:EPERM", rule: "base#mounts" },
    { action: "kill", error: 0, outcome: "kill", rule: "mine.json#seccomp.syscalls[0]" },
    { action: "errno", error: 38, outcome: "errno:ENOSYS", rule: "default#new" },
  ],
  arguments: [
    { syscall: 41, index: 0, mask: 0xffff_ffffn },
    { syscall: 250, index: 0, mask: 0xffffn },
  ],
};

const { plan } = compile({ facts: { cgroup: cgroup2 } });
const compiled = compileReport({
  ...{ policy, plan, host: { ...facts, cgroup: cgroup2 }, audit, profileDigest: "sha256:p", filterDigest: "sha256:f" },
  ...{ warnings: ["limits.core: nothing enforces it on this host"], machine: "x86_64", kernel: "6.18.0", hasCommand: false },
  ...{ entrypoint: ["/entry", "point"], inheritEnv: ["LANG"], filesCwd: "/work", outMaxBytes: 1_048_576, captureBytes: 268_435_456 },
});

/** The words of a plan of a judge's, with a few numbers of the long tables. */
export const sampleReport: ReportPlan = {
  ...compiled,
  errors: compiled.errors.slice(0, 4),
  signals: compiled.signals.slice(0, 12),
  syscalls: compiled.syscalls.slice(40, 44),
};
