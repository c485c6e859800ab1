// Process 1 of the sandbox is belljar's own. Whoever owns it could forge the record of the run.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { allPowerful, attackInSandbox, attackOutside } from "../helpers/attack.ts";

const program = "attack-init";

type Wanted = Readonly<Record<string, RegExp>>;
const denied = /^(EACCES|EPERM)$/;

/** Each row: attacks of one kind, and what they get under the default profile. */
const families: readonly (readonly [name: string, wanted: Wanted])[] = [
  ["reads and writes the memory of process 1 through /proc/1/mem", { "mem-read": denied, "mem-write": denied }],
  [
    "reads and writes the memory of process 1 by process_vm_readv and process_vm_writev",
    { "process-vm-read": /^EPERM$/, "process-vm-write": /^EPERM$/ },
  ],
  [
    "learns of process 1 from /proc/1",
    {
      "proc-maps": denied,
      "proc-environ": denied,
      "proc-auxv": denied,
      "proc-syscall": denied,
      "proc-pagemap": denied,
      "proc-personality": denied,
      "proc-io": denied,
      "proc-smaps": denied,
    },
  ],
  [
    "follows the links of process 1",
    { "link-cwd": denied, "link-root": denied, "link-exe": denied, "link-ns/mnt": denied, "link-ns/user": denied },
  ],
  ["lists and opens the descriptors of process 1", { "fd-list": denied, "fd-open": denied }],
  ["takes a descriptor of process 1 by pidfd_getfd", { "pidfd-getfd": /^EPERM$/ }],
  ["traces process 1", { "ptrace-seize": /^EPERM$/, "ptrace-attach": /^EPERM$/ }],
  [
    "changes the limits of process 1",
    { "prlimit-read": /^EPERM$/, "prlimit-write": /^EPERM$/, "prlimit-cpu": /^EPERM$/, "prlimit-high-word": /^EPERM$/ },
  ],
  ["makes process 1 the first to be killed for memory", { "oom-score": denied }],
  ["measures and compares process 1", { kcmp: /^EPERM$/, "perf-event": denied, "move-pages": /^EPERM$/, "robust-list": /^EPERM$/ }],
];

for (const [name, wanted] of families) {
  const tries = Object.keys(wanted);
  const expected = Object.fromEntries(Object.entries(wanted).map(([key, outcome]) => [key, expect.stringMatching(outcome)]));
  const only = (outcomes: Record<string, string>): Record<string, string> =>
    Object.fromEntries(tries.map((key) => [key, outcomes[key] ?? "never tried"]));

  needs("userns")(name, async () => {
    const control = attackOutside(program, ["control", ...tries]);
    expect(only(control.outcomes()), "control: an ordinary process 1").toEqual(Object.fromEntries(tries.map((key) => [key, "OK"])));
    const inside = await attackInSandbox(program, ["attack", ...tries]);
    expect(only(inside.tries.outcomes()), inside.stderr).toEqual(expected);
    expect(inside.report).toMatchObject({ verdict: "ok", exitCode: 0 });
  });

  // prlimit and the score of the OOM killer: a program that the caller gave CAP_SYS_RESOURCE and CAP_SYS_PTRACE may be told differently.
  needs("userns")(`${name}, as uid 0 with every capability and no seccomp rules`, async () => {
    const inside = await attackInSandbox(program, ["attack", ...tries], { run: ["-p", allPowerful()] });
    expect(inside.tries.of("who").text).toBe("uid 0");
    expect(only(inside.tries.outcomes()), inside.stderr).toEqual(expected);
    expect(inside.report).toMatchObject({ verdict: "ok", exitCode: 0 });
  });
}

needs("userns")("kills, terminates and stops process 1: it neither dies nor stops", async () => {
  const signals = ["kill-term", "kill-kill", "kill-stop", "kill-chld", "state"];
  for (const run of [[], ["-p", allPowerful()]]) {
    const inside = await attackInSandbox(program, ["attack", ...signals], { run });
    // The kernel says yes and drops it: that is what it does for every process 1.
    expect(inside.tries.of("state").text).toBe("S");
    expect(inside.report).toMatchObject({ verdict: "ok", exitCode: 0 });
  }
  const control = attackOutside(program, ["control", "ptrace-attach", "state"]);
  expect(control.of("state").text, "an init that can be stopped shows it").toMatch(/^[tT]$/);
});

needs("userns")("a run goes on to its end, and its verdict is right, after everything was tried on process 1", async () => {
  const inside = await attackInSandbox(program, ["attack"]);
  expect(inside.report).toMatchObject({ verdict: "ok", exitCode: 0, signal: null });
});
