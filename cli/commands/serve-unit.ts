import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";

/** A word of a unit's command line as systemd.service(5) reads it back: no specifier, no variable, no end of the line. */
function unitWord(word: string): string {
  const escaped = word.replace(/[\\"]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$").replaceAll("\n", "\\n");
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

export interface UnitWords {
  readonly command: readonly string[];
  /** For people. */
  readonly what: string;
  /** Where the relative paths of the command begin. */
  readonly folder: string;
}

/** WorkingDirectory takes the rest of its line as it is, but for specifiers. Throws BelljarError `not-supported` for what that cannot hold. */
function unitPath(path: string): string {
  if (/^[^\\\p{Cc}]*[^\\\p{Cc}\s]$/u.test(path)) return path.replaceAll("%", "%%");
  throw new BelljarError("not-supported", `writing the unit: ${quoted(path)}: is a folder that a unit cannot name`, {
    hint: "run it from another folder: relative paths begin there",
  });
}

/**
 * A unit of the user's manager of systemd that serves a pool: Delegate gives it a cgroup that it may divide, so that its runs have exact limits
 * wherever their callers stand.
 */
export function unitText({ command, what, folder }: UnitWords): string {
  return `[Unit]
Description=belljar: sandboxes kept ready (${what.replaceAll("%", "%%").replaceAll("\n", " ")})

[Service]
Type=exec
WorkingDirectory=${unitPath(folder)}
ExecStart=${command.map(unitWord).join(" ")}
Delegate=yes
# A run that meets its memory limit is no failure of the service.
OOMPolicy=continue
TasksMax=infinity
# The first signal is for the command alone: it lets what runs end.
KillMode=mixed
TimeoutStopSec=45
Restart=on-failure

[Install]
WantedBy=default.target
`;
}
