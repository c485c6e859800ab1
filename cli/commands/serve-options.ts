import { limitNames } from "../../policy/profile/types.ts";
import { limitOption, type OptionSpec, runOptions } from "./run-options.ts";

/** What a sandbox has before its program is known, and what all that runs in it has in common. */
const common: ReadonlySet<string> = new Set([
  ...["profile", "set", "rootfs", "image", "pull", "overlay-driver", "network", "run-as"],
  ...["workdir", "user", "stop-signal", "stop-timeout", "volume", "quiet", "help"],
  ...limitNames.map(limitOption),
]);

const pool = "Pool:";

export const serveOptions: readonly OptionSpec[] = [
  { name: "size", value: "N", group: pool, describe: "sandboxes that are kept ready [4]" },
  { name: "max", value: "N", group: pool, describe: "sandboxes at one time, ready and running [64 more than are kept ready]" },
  { name: "unit", group: pool, describe: "print a systemd unit that serves with these options, and end" },
  { name: "json", group: pool, describe: "with ls: print JSON" },
  ...runOptions.filter(({ name }) => common.has(name)),
];

export const serveExamples: readonly (readonly [string, string])[] = [
  ["belljar serve -p judge --size 8", "keep eight sandboxes of that profile ready"],
  ["belljar run -p judge -- ./a.out", "takes one of them, without being told to"],
  ["belljar run --no-server -p judge -- ./a.out", "makes its own sandbox"],
  ["belljar serve ls", "the pools that are served"],
  ["belljar serve -p judge --unit > ~/.config/systemd/user/belljar-judge.service", "have systemd serve it"],
];

export const serveUsage = `belljar serve [OPTIONS]
belljar serve ls [--json]

Keeps sandboxes of one profile ready until it is ended. A run of yours that would make just such a sandbox, by the command or by the library, takes one of them
instead and starts in a fraction of the time; each is used once. All other runs make their own.`;

export const serveEpilogue =
  "Command, environment, files, streams and the limits of the profile may differ from run to run. What a sandbox is made with may not: a run with a script, a terminal, a volume, --sample, another " +
  "--disk or --user makes its own. The first Ctrl-C or SIGTERM waits for what runs, the second ends it. docs/server.md tells more.";
