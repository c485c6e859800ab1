// `npm run soak`: as an ordinary user, whoever starts it. Options go to soak.mjs.
import { runOrdinary } from "../ordinary.mjs";

process.exitCode = await runOrdinary("test/soak/bounded.mjs", process.argv.slice(2));
