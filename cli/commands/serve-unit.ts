/** A word of a unit's command line as systemd.service(5) reads it back: no specifier, no variable, no end of the line. */
function unitWord(word: string): string {
  const escaped = word.replace(/[\\"]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$").replaceAll("\n", "\\n");
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

/**
 * A unit of the user's manager of systemd that serves a pool: Delegate gives it a cgroup that it may divide, so that its runs have exact limits
 * wherever their callers stand.
 */
export function unitText(command: readonly string[], what: string): string {
  return `[Unit]
Description=belljar: sandboxes kept ready (${what.replaceAll("%", "%%").replaceAll("\n", " ")})

[Service]
Type=exec
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
