// The tests, as an ordinary user. Usage: node test/run.mjs [--results FILE] [--tier NAME]... [VITEST FILTER OR OPTION...]
// Without a tier: all of them; started as root, the few tests that only root can try follow.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { placeForUser, runOrdinary } from "./ordinary.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const vitest = "node_modules/vitest/vitest.mjs";

/** Sums up what vitest wrote; a file that could not even be loaded counts as one failure. */
function readResults(path) {
  if (!existsSync(path)) return { passed: 0, failed: 1, skipped: 0 };
  const json = JSON.parse(readFileSync(path, "utf8"));
  const broken = json.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
  ).length;
  return { passed: json.numPassedTests, failed: json.numFailedTests + broken, skipped: json.numPendingTests + json.numTodoTests };
}

const add = (a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped });

function parse(argv) {
  const options = { results: null, tiers: [], rest: [] };
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === "--results") options.results = argv[++i];
    else if (argv[i] === "--tier") options.tiers.push(argv[++i]);
    else options.rest.push(argv[i]);
  }
  return options;
}

/** A tier without a file yet is left out, said aloud: vitest takes no project that matches nothing. */
function existingTiers(names) {
  const has = (name) => {
    const pattern =
      name === "root" ? ["test", "-name", "*.root.test.ts"] : [`test/${name}`, "-name", "*.test.ts", "!", "-name", "*.root.test.ts"];
    return spawnSync("find", pattern, { cwd: root, encoding: "utf8" }).stdout.trim() !== "";
  };
  const missing = names.filter((name) => !has(name));
  if (missing.length > 0) console.error(`harness: no tests in ${missing.join(", ")}`);
  return names.filter(has);
}

const { results, tiers, rest } = parse(process.argv.slice(2));
const namesRootTests = rest.some((word) => word.includes(".root"));
const asked = existingTiers(
  tiers.length > 0
    ? tiers.filter((name) => name !== "root")
    : namesRootTests
      ? []
      : ["unit", "native", "integration", "escape", "regressions", "limits"],
);
const common = ["--run", "--configLoader", "runner", "--reporter=default", "--reporter=json", "--reporter=./test/helpers/stuck.ts"];
const scratch = mkdtempSync(join(tmpdir(), "belljar-results-"));
let total = { passed: 0, failed: 0, skipped: 0 };
let status = 0;

/** One run of vitest; `stuck` is what test/helpers/stuck.ts left, if anything. */
async function asUser(words) {
  let output;
  const status = await runOrdinary(vitest, [...common, ...asked.flatMap((name) => ["--project", name]), ...words], ({ cache }) => {
    output = join(cache, `results-${process.pid}.json`);
    return { BELLJAR_TEST_RESULTS: output };
  });
  const left = `${output}.stuck`;
  const stuck = existsSync(left) ? JSON.parse(readFileSync(left, "utf8")) : null;
  const counts = readResults(output);
  for (const path of [output, left]) rmSync(path, { force: true });
  return { status, counts, stuck };
}

try {
  if (asked.length > 0) {
    const first = await asUser(rest);
    status = first.status;
    total = first.counts;
    // As with a failed test, CI gives a file that blocked its worker a second try, and says so.
    if (process.env.CI && first.stuck?.others === 0 && first.counts.failed === 0) {
      console.log(`harness: once more, for their worker was stuck: ${first.stuck.files.join(" ")}`);
      const second = await asUser(first.stuck.files);
      status = second.status;
      total = add(total, second.counts);
    }
  }
  const wantsRoot = tiers.includes("root") || (tiers.length === 0 && (namesRootTests || rest.length === 0));
  if (wantsRoot && process.getuid() !== 0) console.error("harness: the root tier needs root");
  if (wantsRoot && process.getuid() === 0 && existingTiers(["root"]).length > 0) {
    const output = join(scratch, "root.json");
    const env = {
      ...process.env,
      BELLJAR_TEST_AS_ROOT: "1",
      BELLJAR_TEST_PLACE: JSON.stringify(placeForUser()),
      BELLJAR_TEST_RESULTS: output,
      BELLJAR_TEST_CACHE: join(scratch, "cache"),
    };
    const run = spawnSync(process.execPath, [join(root, vitest), ...common, "--project", "root", ...rest], {
      cwd: root,
      env,
      stdio: "inherit",
    });
    status ||= run.status ?? 1;
    total = add(total, readResults(output));
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

if (results !== null) writeFileSync(results, JSON.stringify(total));
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = status === 0 && total.failed === 0 && total.passed > 0 ? 0 : 1;
