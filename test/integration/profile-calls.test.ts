/** `belljar profile explain --syscall` and `profile diff`, as people see them. Nothing is started: no ability is needed. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

const profile = `{
  "schemaVersion": 1,
  "seccomp": {
    "syscalls": [
      { "names": ["acct"], "action": "errno:EACCES" },
      {
        "names": ["ptrace"],
        "action": "allow",
        "args": [{ "index": 0, "op": "eq", "value": 0 }],
        "comment": "PTRACE_TRACEME"
      }
    ]
  }
}
`;

function folder(): { readonly cwd: string; readonly file: string } {
  const cwd = tempDir("profile-calls");
  writeFileSync(join(cwd, "mine.json"), profile);
  return { cwd, file: join(cwd, "mine.json") };
}

const explain = async (...args: readonly string[]) => {
  const { cwd, file } = folder();
  const { code, stdout, stderr } = await belljar(["profile", "explain", "./mine.json", "--syscall", ...args], { cwd });
  return { code, stderr, lines: stdout.replaceAll(file, "FILE").trimEnd().split("\n") };
};

needs("x86_64")("explain lists the branches, with the rule's file, line and JSON path", async () => {
  const { code, lines } = await explain("ptrace");
  expect(code).toBe(0);
  expect(lines[0]).toMatch(/^allow +if arg0 == 0x0 +FILE:6 seccomp\.syscalls\[1\] +PTRACE_TRACEME/);
  expect(lines[1]).toMatch(/^errno:EPERM +always +default#ptrace +Reading, writing/);
});

needs("x86_64")("explain of a call with its arguments says the one thing that happens", async () => {
  for (const [args, expected] of [
    [["ptrace", "--arg", "0=0"], /^allow +always +FILE:6 seccomp\.syscalls\[1\]/],
    [["ptrace", "--arg", "0=16"], /^errno:EPERM +always +default#ptrace/],
    [["101", "--arg", "0=0x10"], /^errno:EPERM +always +default#ptrace/],
    [["acct"], /^errno:EACCES +always +FILE:5 seccomp\.syscalls\[0\]/],
    [["ioctl", "--arg", "1=0x100005412"], /^errno:EPERM +always +base#terminal-injection/],
    [["socket", "--arg", "0=0x100000028"], /^errno:EAFNOSUPPORT +always +default#socket-families/],
    [["personality", "--arg", "0=-1"], /^allow +always/],
    [["9999"], /^errno:ENOSYS +always +unknown/],
  ] as const) {
    const { lines } = await explain(...args);
    expect(lines[0], args.join(" ")).toMatch(expected);
    expect(lines).toHaveLength(1);
  }
});

needs("x86_64")("explain as JSON has file, path and line apart", async () => {
  const { cwd, file } = folder();
  const { stdout } = await belljar(["profile", "explain", "./mine.json", "--syscall", "ptrace", "--json"], { cwd });
  expect(JSON.parse(stdout)).toEqual([
    {
      action: "allow",
      origin: `${file}#seccomp.syscalls[1]`,
      comment: "PTRACE_TRACEME",
      conditions: ["arg0 == 0x0"],
      file,
      path: "seccomp.syscalls[1]",
      line: 6,
    },
    { action: "errno:EPERM", origin: "default#ptrace", comment: expect.any(String), conditions: [], file: null, path: null, line: null },
  ]);
});

needs()("a filter that no run accepts is refused by the profile's name, and many rules are explained in time", async () => {
  const { cwd } = folder();
  const write = (name: string, count: number): void => {
    const rules = Array.from({ length: count }, (_, i) => ({
      names: ["lseek"],
      action: "errno:EPERM",
      args: [{ index: 1, op: "eq", value: 3 * i }],
    }));
    writeFileSync(join(cwd, name), JSON.stringify({ schemaVersion: 1, extends: "default", seccomp: { syscalls: rules } }));
  };
  write("large.json", 1000);
  for (const args of [
    ["explain", "./large.json", "--syscall", "lseek"],
    ["diff", "default", "./large.json"],
  ]) {
    const { code, stderr } = await belljar(["profile", ...args], { cwd });
    expect(code).toBe(125);
    expect(stderr).toMatch(/^belljar: profile 'large': seccomp: the filter has \d+ instructions, the kernel takes at most 4096$/m);
  }
  write("many.json", 600);
  const { stdout } = await belljar(["profile", "explain", "./many.json", "--syscall", "lseek"], { cwd });
  expect(stdout.split("\n").filter((line) => line.includes("/many.json:1 seccomp.syscalls["))).toHaveLength(600);
});

needs()("explain refuses what is no argument", async () => {
  for (const arg of ["6=1", "0", "0=", "x=1", "0=1.5", "0=0x10000000000000000", "0=18446744073709551616", "-1=0"]) {
    const { code, stderr } = await belljar(["profile", "explain", "default", "--syscall", "socket", `--arg=${arg}`]);
    expect(code, arg).toBe(125);
    expect(stderr).toContain(`'--arg': '${arg}': is no argument and its value`);
  }
  const twice = await belljar(["profile", "explain", "default", "--syscall", "socket", "--arg", "0=1", "--arg", "0=2"]);
  expect(twice.stderr).toContain("argument 0 is given twice");
  const alone = await belljar(["profile", "explain", "default", "--arg", "0=1"]);
  expect(alone.stderr).toContain("'--arg': needs --syscall");
});

needs("x86_64")("diff lists the fields, and the calls that one profile allows and the other does not", async () => {
  const { cwd } = folder();
  const { code, stdout } = await belljar(["profile", "diff", "default", "./mine.json"], { cwd });
  expect(code).toBe(0);
  expect(stdout).toMatch(/^seccomp\.syscalls +none +-$/m);
  expect(stdout).toMatch(/^ptrace\(\) +if arg0 == 0x0 +errno:EPERM +allow$/m);
  expect(stdout).not.toContain("acct()");
  expect(stdout).toMatch(/^1 more where both refuse, or both allow, in different ways: --all$/m);
  const all = await belljar(["profile", "diff", "default", "./mine.json", "--all", "--json"], { cwd });
  expect(JSON.parse(all.stdout)).toMatchObject({
    fields: expect.arrayContaining([expect.objectContaining({ path: "seccomp.syscalls[0]" })]),
    syscalls: [
      { syscall: "ptrace", conditions: ["arg0 == 0x0"], left: "errno:EPERM", right: "allow", allowedBy: "right", example: ["0x0"] },
      { syscall: "acct", conditions: [], left: "errno:EPERM", right: "errno:EACCES", allowedBy: null, example: [] },
    ],
    undecided: [],
  });
});

needs("x86_64")("diff sees through the text: profiles that are written apart and mean the same do not differ in calls", async () => {
  const { cwd } = folder();
  writeFileSync(
    join(cwd, "none.json"),
    JSON.stringify({ schemaVersion: 1, seccomp: { syscalls: [{ names: ["ptrace", "bpf"], action: "errno:EPERM" }] } }),
  );
  const { stdout } = await belljar(["profile", "diff", "default", "./none.json", "--all", "--json"], { cwd });
  expect(JSON.parse(stdout)).toMatchObject({ syscalls: [], undecided: [] });
});

needs("x86_64")("a group of a rule set put upon another set, with a comment", async () => {
  const { cwd } = folder();
  const written = { schemaVersion: 1, extends: "strict", seccomp: { extends: ["strict", "default#socket-unix"] } };
  writeFileSync(join(cwd, "bare.json"), JSON.stringify(written));
  writeFileSync(join(cwd, "group.json"), JSON.stringify({ ...written, comments: { "seccomp.extends": "talks to its own daemon" } }));
  const refused = await belljar(["profile", "check", "./bare.json"], { cwd });
  expect(refused).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('seccomp.extends: needs a "comments": {"seccomp.extends": …}'),
  });
  const { stdout } = await belljar(["profile", "diff", "strict", "./group.json"], { cwd });
  expect(stdout).toMatch(/^socket\(\) +if arg0 == 0x1 \(32 bits\) +errno:EPERM +allow$/m);
});
