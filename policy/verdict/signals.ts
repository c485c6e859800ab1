/** Signal names of Linux on x86_64 and aarch64 (signal(7)); index = number. */
const names = [
  "",
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
] as const;

/** What a signal usually means, for those that programs die of. */
const meanings: Readonly<Record<string, string>> = {
  SIGILL: "illegal instruction",
  SIGABRT: "aborted",
  SIGBUS: "bus error",
  SIGFPE: "arithmetic error",
  SIGSEGV: "invalid memory access",
  SIGPIPE: "wrote to a closed pipe",
  SIGXCPU: "CPU time of one process",
  SIGXFSZ: "file larger than the limit",
};

/** As glibc counts, user programs' real-time signals start here; 32 and 33 are its own. */
const realtimeMin = 34;
export const signalMax = 64;

/** "SIGKILL" for 9, "SIGRTMIN+1" for 35, "SIG32" for 32. */
export function signalName(number: number): string {
  const name = names[number];
  if (name !== undefined && name !== "") return name;
  if (number === realtimeMin) return "SIGRTMIN";
  return number > realtimeMin && number <= signalMax ? `SIGRTMIN+${number - realtimeMin}` : `SIG${number}`;
}

/** The number behind a name that `signalName` gave; null for anything else. */
export function signalNumber(name: string): number | null {
  for (let number = 1; number <= signalMax; number++) if (signalName(number) === name) return number;
  return null;
}

/** "SIGSEGV (invalid memory access)". */
export function signalWords(number: number): string {
  const name = signalName(number);
  const meaning = meanings[name];
  return meaning === undefined ? name : `${name} (${meaning})`;
}
