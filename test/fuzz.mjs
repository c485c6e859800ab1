// Runs each libFuzzer target for its share of the time. Usage: node test/fuzz.mjs [--seconds N] [--keep] [TARGET...]
// Seeds: native/fuzz/corpus/TARGET and, for what decodes plans, the golden plans of the tests. --keep merges what was found into the corpus.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const args = process.argv.slice(2);
const secondsAt = args.indexOf("--seconds");
const seconds = secondsAt === -1 ? 60 : Number(args[secondsAt + 1]);
const keep = args.includes("--keep");
const named = args.filter((arg, i) => arg !== "--keep" && arg !== "--seconds" && (secondsAt === -1 || i !== secondsAt + 1));
if (!Number.isInteger(seconds) || seconds < 1) {
  console.error("fuzz: --seconds: must be a whole number of seconds, for example 60");
  process.exit(2);
}

const run = (argv, cwd = root) => spawnSync(argv[0], argv.slice(1), { cwd, stdio: "inherit" }).status === 0;

if (!run(["make", "-s", "-C", "native", "fuzz"])) process.exit(1);
const built = readdirSync(join(root, "native/fuzz"))
  .filter((name) => name.endsWith(".c"))
  .map((name) => name.slice(0, -2));
const targets = named.length > 0 ? named : built;
if (targets.length === 0) {
  console.error("fuzz: no targets in native/fuzz");
  process.exit(1);
}

const golden = join(root, "test/fixtures/plans");
const part = (name, kind) => readFileSync(join(golden, `${name}.${kind}.bin`));

const recordBytes = Number(
  /sizeof\(struct wire_run_record\) == (\d+)/.exec(readFileSync(join(root, "native/launcher/gen/wire.gen.h"), "utf8"))?.[1],
);

/** Folders of seeds that are made of the golden plans, so that none is of an older table. */
const goldenSeeds = {
  // A compiled plan, and a message that is no launcher's: what a record is, it has to find.
  report_fuzz: (scratch) => {
    const dir = join(scratch, "golden");
    mkdirSync(dir);
    const parts = [part("typical", "sandbox"), part("typical", "exec"), part("typical", "report")];
    const record = Buffer.alloc(8 + recordBytes);
    record.writeUInt32LE(3, 0);
    record.writeUInt32LE(recordBytes, 4);
    part("typical", "exec").copy(record, 8, 0, 16);
    record.writeUInt32LE(1, 16);
    record.writeUInt32LE(recordBytes, 20);
    writeFileSync(join(dir, "plan"), Buffer.concat(parts));
    writeFileSync(join(dir, "record"), Buffer.concat([...parts, record]));
    return [dir];
  },
  plan_fuzz: () => [golden],
  // A plan, and a second exec part for it.
  handover_fuzz: (scratch) => {
    const dir = join(scratch, "golden");
    mkdirSync(dir);
    for (const name of ["minimal", "typical", "full"]) {
      const [sandbox, exec] = [part(name, "sandbox"), part(name, "exec")];
      writeFileSync(join(dir, name), Buffer.concat([sandbox, exec, exec]));
      writeFileSync(join(dir, `${name}-other`), Buffer.concat([sandbox, exec, part("minimal", "exec")]));
    }
    return [dir];
  },
};

let failed = 0;
for (const target of targets) {
  const program = join(root, "native/build/fuzz", target);
  const corpus = join(root, "native/fuzz/corpus", target);
  const scratch = mkdtempSync(join(tmpdir(), "belljar-fuzz-"));
  const found = join(scratch, "found");
  mkdirSync(found);
  const seeds = [corpus, ...(goldenSeeds[target]?.(scratch) ?? [])].filter((dir) => existsSync(dir));
  const share = Math.max(1, Math.floor(seconds / targets.length));
  console.log(`fuzz: ${target}: ${share} s`);
  const options = [
    `-max_total_time=${share}`,
    "-timeout=10",
    "-rss_limit_mb=2048",
    "-print_final_stats=1",
    "-verbosity=0",
    `-artifact_prefix=${scratch}/`,
  ];
  const ok = run([program, ...options, found, ...seeds], scratch);
  if (!ok) {
    failed++;
    const artifacts = readdirSync(scratch).filter((name) => /^(crash|leak|timeout|oom)-/.test(name));
    console.error(`fuzz: ${target}: FAILED; inputs: ${artifacts.map((name) => join(scratch, name)).join(" ") || "none"}`);
    continue; // the inputs stay where they are
  }
  if (keep) {
    mkdirSync(corpus, { recursive: true });
    if (!run([program, "-merge=1", "-verbosity=0", corpus, found])) failed++;
  }
  rmSync(scratch, { recursive: true, force: true });
}
console.log(`fuzz: ${targets.length - failed} of ${targets.length} targets held`);
process.exitCode = failed === 0 ? 0 : 1;
