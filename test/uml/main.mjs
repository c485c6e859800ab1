// A Linux with cgroup v2 on any machine: boots User-Mode Linux, as an ordinary user, on this machine's own files, and runs a command there.
// Usage: node test/uml/main.mjs [--systemd] -- COMMAND [ARGUMENT...]      see README.md beside this file
import { runOrdinary } from "../ordinary.mjs";

process.exitCode = await runOrdinary("test/uml/boot.mjs", process.argv.slice(2));
