// `npm run demo`: as an ordinary user, whoever starts it.
import { runOrdinary } from "../ordinary.mjs";

process.exitCode = await runOrdinary("test/demo/demo.mjs");
