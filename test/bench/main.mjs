// `npm run bench`: as an ordinary user, whoever starts it. Options go to bench.mjs.
import { runOrdinary } from "../ordinary.mjs";

process.exitCode = await runOrdinary("test/bench/bench.mjs", process.argv.slice(2));
