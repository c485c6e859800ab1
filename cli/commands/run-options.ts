import { type LimitName, limitNames } from "../../policy/profile/types.ts";

/**
 * The options of `belljar run`: the one table from which arguments are read, help and completion are made and unknown
 * names are corrected.
 */
export interface OptionSpec {
  readonly name: string;
  readonly short?: string;
  /** What the value is called in help; without it the option is a switch. */
  readonly value?: string;
  readonly repeat?: boolean;
  readonly group: string;
  readonly describe: string;
  /** An empty value means something. */
  readonly mayBeEmpty?: boolean;
}

/** `cpuTime` -> `cpu-time`. */
export function limitOption(limit: LimitName): string {
  return limit.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

const limitHelp: Readonly<Record<LimitName, readonly [value: string, describe: string]>> = {
  cpuTime: ["TIME", "CPU time of the whole process tree: 500ms, 2s, 1m"],
  wallTime: ["TIME", "time from start to end"],
  memory: ["SIZE", "memory of the whole process tree: 64M, 1G (M = MiB)"],
  processes: ["N", "processes and threads at one time"],
  output: ["SIZE", "bytes of stdout and of stderr, each"],
  disk: ["SIZE", "bytes in /work, /tmp and /dev/shm together"],
  inodes: ["N", "files and folders in these places"],
  openFiles: ["N", "open files of one process"],
  fileSize: ["SIZE", "largest file that can be written"],
  stack: ["SIZE", "stack of the main thread"],
  cpus: ["N", "share of CPUs, such as 1.5"],
  cpuset: ["LIST", "CPUs to run on, such as 0-1,3"],
  lockedMemory: ["SIZE", "memory that may be locked"],
  core: ["SIZE", "core dump size"],
  addressSpace: ["SIZE", "address space of one process; breaks Node, Go and Java"],
};

const profile = "Profile:";
const program = "Program:";
const files = "Files and streams:";
const limits = "Limits (none = no limit):";
const result = "Result:";

export const runOptions: readonly OptionSpec[] = [
  { name: "profile", short: "p", value: "NAME|FILE", group: profile, describe: "built-in or own profile, or a file [default]" },
  { name: "set", value: "PATH=VALUE", repeat: true, group: profile, describe: "override a field: --set limits.memory=1G" },
  { name: "rootfs", value: "host|DIR", group: profile, describe: "run on the host's /usr or on a folder" },
  { name: "image", short: "i", value: "REF", group: profile, describe: "run on an OCI image, pulled when it is not there" },
  { name: "pull", value: "WHEN", group: profile, describe: "missing, always or never [missing]" },
  { name: "overlay-driver", value: "NAME", group: profile, describe: "how layers become one tree: auto, kernel, fuse-overlayfs or copy" },
  { name: "network", value: "none|host", group: profile, describe: "none: a private network with loopback only" },
  { name: "run-as", value: "USER", group: profile, describe: "started by root: the ordinary account to become" },

  { name: "script", value: "FILE", group: program, describe: "run this host file, shown read-only in /work" },
  {
    name: "entrypoint",
    value: "PROGRAM",
    mayBeEmpty: true,
    group: program,
    describe: 'in place of the image\'s ("" for none, or a JSON list)',
  },
  { name: "workdir", short: "w", value: "DIR", group: program, describe: "working directory in the sandbox [/work]" },
  { name: "env", short: "e", value: "N[=V]", repeat: true, group: program, describe: "set a variable, or pass the caller's" },
  { name: "user", short: "u", value: "UID[:GID]|NAME", group: program, describe: "user in the sandbox" },
  { name: "stop-signal", value: "SIGNAL", group: program, describe: "what a cancelled program gets before it is killed [none]" },
  { name: "stop-timeout", value: "TIME", group: program, describe: "how long it then has [10s]" },
  { name: "tty", short: "t", group: program, describe: "give the program a terminal of its own" },
  { name: "no-server", group: program, describe: "make a sandbox for this run even where `belljar serve` has one ready" },

  { name: "volume", short: "v", value: "SRC:DST[:ro|rw]", repeat: true, group: files, describe: "bind mount, read-only unless :rw" },
  { name: "in", value: "HOST[:PATH]", repeat: true, group: files, describe: "copy a file into /work before" },
  { name: "out", value: "PATH[:HOST]", repeat: true, group: files, describe: "copy a regular file out of /work after" },
  { name: "out-max", value: "SIZE", group: files, describe: "largest file that --out takes" },
  { name: "stdin", value: "FILE", group: files, describe: "read standard input from a file" },
  { name: "stdout", value: "FILE", group: files, describe: "write standard output to a file" },
  { name: "stderr", value: "FILE", group: files, describe: "write standard error to a file" },

  ...limitNames.map(
    (limit): OptionSpec => ({
      name: limitOption(limit),
      value: limitHelp[limit][0],
      group: limits,
      describe: limitHelp[limit][1],
    }),
  ),

  { name: "report", value: "FILE", group: result, describe: "write the report as JSON" },
  { name: "sample", value: "TIME", group: result, describe: "put CPU time, memory and processes over time into the report: 50ms" },
  { name: "plot", value: "FILE.svg", group: result, describe: "draw these over time, with limits and verdict [--sample 50ms]" },
  { name: "json", group: result, describe: "print one JSON document: report, stdout and stderr" },
  { name: "quiet", short: "q", group: result, describe: "say nothing about the verdict" },
  { name: "verbose", group: result, describe: "say what was used and what enforced each limit" },
  { name: "help", short: "h", group: result, describe: "show this help" },
];

export const runExamples: readonly (readonly [string, string])[] = [
  ["belljar run -- python3 -c 'print(6 * 7)'", "a command in the sandbox"],
  ["belljar run ./script.py first second", "a host script, by its #! line or its extension"],
  ["belljar run -p judge --stdin in.txt --in ./a.out -- ./a.out", "one submission, with its input"],
  ["belljar run -p compile --in main.cpp --out a.out -- g++ main.cpp", "compile, and keep the result"],
  ["belljar run -i debian:12 -- cat /etc/os-release", "on an OCI image"],
  ["belljar run --memory 64M --cpu-time 2s --json ./script.js", "limits, and the report as JSON"],
  ["belljar run -t -- sh", "an interactive shell"],
];
