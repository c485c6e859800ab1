// The launcher as a command: whose words are whose, which files may be one, and that nothing it waits for keeps it from being told to stop.
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { launcherPath } from "../helpers/launcher.ts";
import { judgePlan, launch } from "../helpers/plan-file.ts";

function fifo(dir: string, name: string): string {
  execFileSync("mkfifo", [join(dir, name)], { timeout: 10_000, killSignal: "SIGKILL" });
  return join(dir, name);
}

/** It hears signals itself, by a handler or as a descriptor: before that, any process dies of them, and before its exec it is somebody else. */
function hears(pid: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return status.startsWith("Name:\tbelljar-launch\n") && /^Sig(?:Blk|Cgt):\t0*[1-9a-f]/m.test(status);
}

describe("whose words are whose", () => {
  needs("userns")("--json is the program's behind the first word that is no option", async () => {
    const file = await judgePlan();
    expect(await launch([file, "echo", "--json"])).toMatchObject({ code: 0, stdout: "--json\n" });
    const wrong = await launch([file, "--nope", "echo", "--json"]);
    expect(wrong).toMatchObject({ code: 125, stdout: "" });
    expect(wrong.stderr).toContain("unknown option");
  });
  needs("userns")("--json is heard behind what is wrong, but not as the value of another option", async () => {
    const file = await judgePlan();
    const told = await launch([file, "--nope", "-e", "A", "--json", "--", "true"]);
    expect(JSON.parse(told.stdout)).toMatchObject({ error: { code: "usage" } });
    const value = await launch([file, "--report", "--json", "--", "true"]);
    expect(value).toMatchObject({ code: 125, stdout: "" });
    expect(value.stderr).toContain("'--report': needs a value");
  });
  needs("userns")("letters may stand together", async () => {
    const file = await judgePlan();
    const both = await launch([file, "-qe", "A=1", "--", "sh", "-c", "echo $A; exit 3"]);
    expect(both).toMatchObject({ code: 3, stdout: "1\n", stderr: "" });
    expect((await launch([file, "-qx", "true"])).stderr).toContain("'-x': unknown option");
  });
});

needs("userns")("an option that belongs to the plan is told where to go", async () => {
  const file = await judgePlan();
  for (const [option, value] of [
    ["-p", "judge"],
    ["--volume=/a:/b", null],
    ["--set", "a=1"],
  ]) {
    const { code, stderr } = await launch([file, `${option}`, ...(value === null ? [] : [`${value}`]), "--", "true"]);
    expect(code).toBe(125);
    expect(stderr).toBe(
      `belljar: reading options: '${option}': belongs to the plan\nhint: give it when the plan is compiled: belljar profile compile PROFILE -o FILE\n`,
    );
  }
});

needs("userns")("a report that is larger than a file may be is an error, and nothing is left of it", async () => {
  const file = await judgePlan();
  const dir = join(dirname(file), "empty");
  mkdirSync(dir);
  const { code, stderr } = await belljar(
    ["-c", 'ulimit -f 0; exec "$0" "$@"', launcherPath, file, "--report", "report.json", "--", "true"],
    {
      program: ["sh"],
      cwd: dir,
    },
  );
  expect(stderr).toBe("belljar: writing the report: 'report.json': larger than a file may be (ulimit -f)\n");
  expect(code).toBe(125);
  expect(readdirSync(dir)).toEqual([]);
});

needs("userns")("one file under two names is refused in the command's words, and left as it is", async () => {
  const file = await judgePlan();
  const dir = dirname(file);
  writeFileSync(join(dir, "f"), "kept");
  symlinkSync("new", join(dir, "to-new"));
  symlinkSync("f", join(dir, "to-f"));
  const cases = [
    ["--stdin", "f", "--report", "f"],
    ["--stdin", "to-f", "--stdout", "f"],
    ["--in", "f", "--out", "x:to-f"],
    ["--in", "f", "--stderr", "./f"],
    ["--stdout", "new", "--report", "to-new"],
    ["--report", "new", "--out", "a:new"],
  ];
  for (const options of cases) {
    const args = [...options, "--", "sh", "-c", "echo written; echo a > a; echo x > x"];
    const launcher = await launch([file, ...args], { cwd: dir });
    const command = await belljar(["run", "-p", "judge", ...args], { cwd: dir, report: false });
    expect(launcher).toMatchObject({ code: 125, stdout: "", stderr: command.stderr });
    expect(launcher.stderr).toMatch(/is the file that '--\w+' (reads|writes)/);
    expect(readFileSync(join(dir, "f"), "utf8")).toBe("kept");
  }
  const { size } = statSync(file);
  expect((await launch([file, "--report", file, "--", "true"])).stderr).toContain("is the plan itself");
  expect(statSync(file).size).toBe(size);
  const shared = await launch([file, "--stdout", "both", "--stderr", "both", "--", "sh", "-c", "echo 1; echo 2 >&2"], { cwd: dir });
  expect(shared.code).toBe(0);
});

describe("a signal ends it while it waits", () => {
  needs("userns")("for a launcher that somebody has stopped: the second one, and a few seconds", async () => {
    const file = await judgePlan();
    const run = startBelljar([file, "--wall-time", "40s", "--", "sh", "-c", "echo ready; sleep 60"], {
      program: [launcherPath],
      deadlineMs: 50_000,
    });
    await until(() => run.output().includes("ready"), { what: "the program runs", timeoutMs: 20_000 });
    const pid = await run.pid;
    process.kill(Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim()), "SIGSTOP");
    process.kill(pid, "SIGTERM");
    process.kill(pid, "SIGINT");
    const { code, stderr } = await run.result;
    expect(stderr).toMatch(/^belljar: cancelled: /);
    expect([130, 143]).toContain(code); // which of two that are pending is read first, the kernel decides
  });
  for (const [option, signal] of [
    ["--stdin", "SIGTERM"],
    ["--stdout", "SIGINT"],
    ["--report", "SIGHUP"],
  ] as const) {
    needs("userns")(`for the other end of a fifo: ${option}`, async () => {
      const file = await judgePlan();
      const run = startBelljar([file, option, fifo(dirname(file), "fifo"), "--", "true"], { program: [launcherPath] });
      const pid = await run.pid;
      await until(() => hears(pid), { what: "it hears signals", timeoutMs: 20_000 });
      process.kill(pid, signal);
      expect(await run.result).toMatchObject({ code: 128 + constants.signals[signal], stdout: "", stderr: "" });
    });
  }
  needs("userns")("for a reader of its report who reads no more", async () => {
    const file = await judgePlan();
    const path = fifo(dirname(file), "fifo");
    // Both ends, so that opening waits for nobody; the report is more than what is left in the pipe.
    const fd = openSync(path, "r+");
    try {
      writeFileSync(fd, Buffer.alloc(60_000));
      const run = startBelljar(
        [file, "--report", path, "--sample", "1ms", "--wall-time", "300ms", "--", "sh", "-c", "echo ready; sleep 9"],
        {
          program: [launcherPath],
          deadlineMs: 50_000,
        },
      );
      const pid = await run.pid;
      const children = () => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
      await until(() => run.output().includes("ready"), { what: "the program runs", timeoutMs: 20_000 });
      await until(() => children() === "", { what: "the run is over", timeoutMs: 20_000 });
      process.kill(pid, "SIGTERM");
      expect((await run.result).code).toBe(143);
    } finally {
      closeSync(fd);
    }
  });
});
