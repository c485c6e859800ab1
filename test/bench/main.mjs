// `npm run bench`: as an ordinary user, whoever starts it; options go to bench.mjs.
//   --write        afterwards, docs/performance.{json,md,svg} are made anew, as whoever started it
//   --from FILE    nothing is measured: they are made from a FILE that --json has kept
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runOrdinary } from "../ordinary.mjs";
import { writeFigures } from "./write.mjs";

const args = process.argv.slice(2);
const from = args.indexOf("--from");
const writes = args.includes("--write");
const kept = args.indexOf("--json");

async function measureAndWrite() {
  const folder = mkdtempSync(join(tmpdir(), "belljar-bench-figures-"));
  chmodSync(folder, 0o1777); // the ordinary user leaves them there
  const file = kept === -1 ? join(folder, "figures.json") : args[kept + 1];
  try {
    const more = kept === -1 ? ["--json", file] : [];
    const status = await runOrdinary("test/bench/bench.mjs", [...args.filter((arg) => arg !== "--write"), ...more]);
    if (status === 0) await writeFigures(JSON.parse(readFileSync(file, "utf8")));
    return status;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (from !== -1) await writeFigures(JSON.parse(readFileSync(args[from + 1], "utf8")));
else process.exitCode = writes ? await measureAndWrite() : await runOrdinary("test/bench/bench.mjs", args);
