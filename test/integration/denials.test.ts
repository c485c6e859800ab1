// Refused system calls are heard and counted, and the program gets what it would get without.
import { dirname } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { profileFile } from "../helpers/attack.ts";
import { type BelljarOptions, belljarCommand, belljarRun } from "../helpers/belljar.ts";
import { fixtureProgram } from "../helpers/compile.ts";

/** Runs the fixture with these operations. */
function denied(ops: readonly string[], { run = [], ...options }: BelljarOptions & { readonly run?: readonly string[] } = {}) {
  return belljarRun([...run, "-v", `${dirname(fixtureProgram("denied"))}:/t`, "--", "/t/denied", ...ops], {
    deadlineMs: 60_000,
    ...options,
  });
}

const killing = () => profileFile({ seccomp: { syscalls: [{ names: ["ptrace"], action: "kill", comment: "test" }] } });
const traceMe = { request: "PTRACE_TRACEME" };

describe("a refused call", () => {
  needs("userns")("is named with its rule, errno and telling argument; the program gets the same errno as without", async () => {
    const ops = ["ptrace", "mount", "socket", "clone3", "getppid", "ptrace"];
    const heard = await denied(ops);
    const unheard = await denied(ops, { run: ["--set", "seccomp.audit=false"] });
    expect(heard.stdout).toBe("ptrace 1\nmount 1\nsocket 97\nclone3 38\ngetppid 0\nptrace 1\n");
    expect(unheard.stdout).toBe(heard.stdout);
    expect(unheard.report.denials).toBeNull();
    expect(unheard.report.enforcement.audit).toBeUndefined();
    expect(heard.report.enforcement.audit).toBe("enforced");
    // clone3 stands for an older kernel, which callers expect: that is no denial.
    const denial = { countExact: true, count: 1 };
    expect(heard.report.denials).toEqual([
      { ...denial, syscall: "ptrace", arguments: traceMe, count: 2, action: "errno:EPERM", rule: "default#ptrace" },
      { ...denial, syscall: "mount", arguments: null, action: "errno:EPERM", rule: "base#mounts" },
      {
        ...denial,
        syscall: "socket",
        arguments: { domain: "AF_PACKET", protocol: "0" },
        action: "errno:EAFNOSUPPORT",
        rule: "default#packet-sockets",
      },
    ]);
  });

  needs("userns")("counts once, however often signals interrupt it", async () => {
    const { stdout, report } = await denied(["storm:3000"]);
    expect(stdout).toBe("storm:3000 3000x1\n");
    expect(report.denials).toMatchObject([{ syscall: "ptrace", count: 3000, countExact: true }]);
  });

  needs("userns")("is counted, and said to be inexact, where the kernel lets signals withdraw it", async () => {
    const { stdout, report } = await denied(["storm:300"], { program: [fixtureProgram("older-seccomp"), ...belljarCommand] });
    expect(stdout).toBe("storm:300 300x1\n");
    expect(report.denials).toMatchObject([{ syscall: "ptrace", countExact: false }]);
    expect(report.denials?.[0]?.count).toBe(300); // accepted answers, all the same
  });

  needs("userns")("is told apart by its argument, but not endlessly", async () => {
    const { report } = await denied(["kinds:50"]);
    const denials = report.denials ?? [];
    expect(denials).toHaveLength(9);
    expect(denials.at(-1)).toMatchObject({ syscall: "ptrace", arguments: null, count: 42 });
    expect(denials.reduce((sum, { count }) => sum + count, 0)).toBe(50);
  });

  needs("userns")("in a flood is answered and counted like any other", async () => {
    // More than the supervisor answers in one go: it pauses, and the callers wait.
    const { stdout, report } = await denied(["flood:20000"]);
    expect(stdout).toBe("flood:20000 80000x1\n");
    expect(report.denials).toMatchObject([{ syscall: "ptrace", count: 80_000, countExact: true }]);
  });
});

describe("a rule that kills", () => {
  needs("userns")("ends the program as syscall-denied, and the call is named", async () => {
    const { code, stdout, report } = await denied(["getppid", "ptrace", "getppid"], { run: ["-p", killing()] });
    expect(stdout).toBe("getppid 0\n");
    expect(code).toBe(128 + 31);
    expect(report).toMatchObject({
      verdict: "syscall-denied",
      signal: "SIGSYS",
      message: "killed for calling ptrace, as the system call filter asks",
    });
    expect(report.denials).toMatchObject([{ syscall: "ptrace", count: 1, action: "kill" }]);
  });

  needs("userns")("kills all threads of a process", async () => {
    const { report } = await denied(["flood:5"], { run: ["-p", killing()] });
    expect(report).toMatchObject({ verdict: "syscall-denied", signal: "SIGSYS" });
  });

  needs("userns")("kills a child, and the program goes on", async () => {
    const { stdout, report } = await denied(["child-ptrace", "getppid"], { run: ["-p", killing()] });
    expect(stdout).toBe("child-ptrace killed\ngetppid 0\n");
    expect(report).toMatchObject({ verdict: "ok", denials: [{ syscall: "ptrace", count: 1, action: "kill" }] });
  });

  needs("userns")("does so without the audit too, by the kernel", async () => {
    const { code, report } = await denied(["ptrace"], { run: ["-p", killing(), "--set", "seccomp.audit=false"] });
    expect(code).toBe(128 + 31);
    expect(report).toMatchObject({ verdict: "syscall-denied", signal: "SIGSYS", denials: null });
  });
});

needs("userns")("beneath another tool's listener there is no audit, and the calls are refused all the same", async () => {
  const { stdout, report } = await denied(["ptrace", "mount"], { program: [fixtureProgram("listen-exec"), ...belljarCommand] });
  expect(stdout).toBe("ptrace 1\nmount 1\n");
  expect(report).toMatchObject({ verdict: "ok", denials: null });
  expect(report.enforcement).toMatchObject({ seccomp: "enforced", audit: "none" });
});

describe("the line about what was refused", () => {
  const line = "belljar: denied: ptrace(PTRACE_TRACEME) 2 times by default#ptrace; mount once by base#mounts (of every sandbox)\n";

  needs("userns")("is there when the program failed, and what it says to allow it works", async () => {
    const { stderr } = await denied(["ptrace", "ptrace", "mount", "fail"]);
    expect(stderr).toContain(
      `belljar: exit-nonzero: exited with code 1\n${line}hint: in the profile, where it should: "seccomp": {"syscalls": [`,
    );
    const hint = /^hint: [^"]*(".*)$/m.exec(stderr)?.[1] ?? "";
    const { seccomp } = JSON.parse(`{${hint}}`) as { readonly seccomp: object };
    const allowed = await denied(["ptrace", "mount"], { run: ["-p", profileFile({ seccomp })] });
    expect(allowed.stdout).toBe("ptrace 0\nmount 1\n");
  });

  needs("userns")("is not there when all went well or nobody wants to know", async () => {
    expect((await denied(["ptrace", "ptrace", "mount"])).stderr).toBe("");
    expect((await denied(["ptrace", "mount", "fail"], { run: ["-q"] })).stderr).toBe("");
    expect((await denied(["ptrace", "ptrace", "mount"], { run: ["--verbose"] })).stderr).toContain(line);
  });
});
