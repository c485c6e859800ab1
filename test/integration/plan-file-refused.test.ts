// What is no compiled plan for this user, host and build, and what no run of one can be asked for: refused before anything starts.
import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { launcherPath } from "../helpers/launcher.ts";
import { judgePlan, launch } from "../helpers/plan-file.ts";

describe("a file that is not for this run is refused, with the remedy", () => {
  const refusal = async (file: string) => {
    const { code, stdout, stderr } = await launch([file, "--", "true"]);
    expect(stdout).toBe("");
    expect(code).toBe(125);
    return stderr;
  };
  needs("userns")("one that is not there", async () => {
    expect(await refusal("/no/such")).toBe(
      "belljar: reading the plan: '/no/such': no such file or directory\nhint: belljar profile compile PROFILE -o FILE makes one\n",
    );
  });
  needs("userns")("one that others may write", async () => {
    const file = await judgePlan();
    chmodSync(file, 0o666);
    expect(await refusal(file)).toContain("others may have written it");
  });
  needs("userns")("one that is damaged, byte by byte", async () => {
    const file = await judgePlan();
    const good = readFileSync(file);
    const damaged = join(dirname(file), "damaged");
    let refused = 0;
    // Every field of the headers, then a sample of what follows.
    const places = [
      ...Array.from({ length: 64 }, (_, i) => i),
      ...Array.from({ length: 150 }, (_, i) => Math.floor((i * good.length) / 150)),
    ];
    for (const at of places) {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ 0x80;
      writeFileSync(damaged, bytes, { mode: 0o600 });
      const run = spawnSync(launcherPath, [damaged, "--", "true"], { encoding: "utf8", timeout: 20_000, killSignal: "SIGKILL" });
      const { status: code, stderr, signal } = run;
      expect(signal).toBeNull();
      if (stderr.includes("damaged") || stderr.includes("another")) refused++;
      if (at < 32) expect(stderr, String(at)).toContain("damaged");
      expect([0, 125]).toContain(code);
    }
    // Letters in words may be others; all else is refused.
    expect(refused).toBeGreaterThan(80);
    for (const length of [0, 1, 31, 32, 100, good.length - 8, good.length - 1]) {
      writeFileSync(damaged, good.subarray(0, length), { mode: 0o600 });
      expect(await refusal(damaged), String(length)).toContain("damaged");
    }
    writeFileSync(damaged, Buffer.concat([good, Buffer.alloc(8)]), { mode: 0o600 });
    expect(await refusal(damaged)).toContain("damaged");
  });
  needs("userns")("one of another build, another kernel or another user", async () => {
    const file = await judgePlan();
    const good = readFileSync(file);
    const replaced = (from: string, to: string): string => {
      const other = join(dirname(file), "other");
      const bytes = Buffer.from(good);
      const at = bytes.lastIndexOf(from);
      expect(at).toBeGreaterThan(0);
      bytes.write(to, at, "latin1");
      writeFileSync(other, bytes, { mode: 0o600 });
      return other;
    };
    const { wireTable } = await import("../../policy/wire/wire.gen.ts");
    expect(await refusal(replaced(wireTable, "0".repeat(wireTable.length)))).toContain("another build");
    const { release } = await import("node:os");
    expect(await refusal(replaced(release(), "x".repeat(release().length)))).toContain("another kernel");
    const { decodePart, encodeReport } = await import("../../policy/wire/index.ts");
    const at = good.readUInt32LE(16);
    const last = at + good.readUInt32LE(at + 16);
    const part = decodePart(new Uint8Array(good.subarray(last)));
    if (part.kind !== "report") throw new Error("no report part");
    const other = join(dirname(file), "user");
    writeFileSync(other, Buffer.concat([good.subarray(0, last), encodeReport({ ...part.plan, uid: part.plan.uid + 1 })]), { mode: 0o600 });
    expect(await refusal(other)).toContain("another user");
  });
});

describe("what is wrong with a command line", () => {
  const wrong: readonly (readonly [args: readonly string[], words: string])[] = [
    [["--nope"], "'--nope': unknown option"],
    [["--json=yes"], "'--json=yes': takes no value"],
    [["--memory"], "'--memory': needs a value"],
    [["--memory", "64MB"], "limits.memory: '64MB': is no size"],
    [["--cpu-time", "2"], "limits.cpuTime: '2': is no duration"],
    [["--disk", "1M"], "limits.disk: '1M': cannot be set for one run of this plan"],
    [["--processes", "99999999"], "is more than this plan was compiled for"],
    [["--in", "/etc"], "copying in: '/etc': is a directory"],
    [["--in", "/etc/passwd:../x"], "must name a file beneath /work"],
    [["--in", "/etc/passwd:a", "--in", "/etc/group:a/b"], "is named twice, or is the folder of another"],
    [["--out", "x:/no/such/y"], "copying out: '/no/such': no such file or directory"],
    [["--report", "/no/such/y"], "writing the report: '/no/such': no such file or directory"],
    [["--stdin", "/no/such"], "opening stdin: '/no/such': no such file or directory"],
    [["--json", "--stdout", "x"], "leave out --stdout and --stderr"],
    [["-e", "=x"], "has no name before '='"],
  ];
  needs("userns")("is said, and nothing is started", async () => {
    const file = await judgePlan();
    for (const [args, words] of wrong) {
      const { code, stdout, stderr } = await launch([file, ...args, "--", "echo", "ran"]);
      expect(`${stdout}${stderr}`, args.join(" ")).toContain(words);
      expect(code, args.join(" ")).toBe(125);
      expect(`${stdout}${stderr}`).not.toContain("ran\n");
    }
    const none = await launch([file]);
    expect(none).toMatchObject({ code: 125, stdout: "" });
    expect(none.stderr).toContain("no command to run");
  });
});
