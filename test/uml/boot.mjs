// The part that runs as the ordinary user: the kernel is a process of that user's, and so is all that happens in the guest.
// Nothing of this machine is written to, but for $BELLJAR_TEST_CACHE: the guest's root is an overlay whose upper directory is in its memory.
import { execFileSync, spawn } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const kernel = "/usr/bin/linux.uml";
const modules = "/usr/lib/uml/modules";
/** A file that is a disk of the guest's: ids and attributes of files there are the guest's own. Sparse, so that only what is written takes room. */
const diskBytes = 1024 ** 3;
const mkfs = "/usr/sbin/mke2fs";
const tmpfsMagic = 0x01021994;
/** Longer than any suite here takes; a guest that hangs must not hang its caller. */
const deadlineMs = 30 * 60_000;

const args = process.argv.slice(2);
const systemd = args[0] === "--systemd";
const command = args.slice(args.indexOf("--") + 1);
if (!args.includes("--") || command.length === 0) {
  console.error("usage: node test/uml/main.mjs [--systemd] -- COMMAND [ARGUMENT...]");
  process.exit(2);
}
for (const [path, name] of [
  [kernel, "user-mode-linux"],
  ["/usr/sbin/insmod", "kmod"],
  [mkfs, "e2fsprogs"],
  ...(systemd ? [["/lib/systemd/systemd", "systemd"]] : []),
])
  if (!existsSync(path)) {
    console.error(`uml: ${path} is missing: install the package ${name}`);
    process.exit(1);
  }

const cache = process.env.BELLJAR_TEST_CACHE;
const work = mkdtempSync(join(cache, "uml-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

/** The guest's memory is a file of the host's: on a disk it would be slow. */
function memoryFolder() {
  try {
    accessSync("/dev/shm", constants.W_OK);
    return statfsSync("/dev/shm").type === tmpfsMagic ? "/dev/shm" : work;
  } catch {
    return work;
  }
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const passedOn = ["CI", "BELLJAR_MUST_RUN", "BELLJAR_TEST_CACHE", "BELLJAR_LIMITS", "BELLJAR_LIMITS_RESULTS", "BELLJAR_LAUNCHER"];
const settings = {
  KIND: systemd ? "systemd" : "plain",
  WORK: work,
  TREE: join(here, "../.."),
  CACHE: cache,
  USER_NAME: userInfo().username,
  USER_ID: String(process.getuid()),
  MODULES: existsSync(modules) ? join(modules, readdirSync(modules)[0]) : "",
};
mkdirSync(join(work, "home"));
writeFileSync(
  join(work, "settings"),
  Object.entries(settings)
    .map(([name, value]) => `${name}=${quoted(value)}\n`)
    .join(""),
);
const disk = join(work, "disk");
writeFileSync(disk, "");
truncateSync(disk, diskBytes);
execFileSync(mkfs, ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", `root_owner=${process.getuid()}:${process.getgid()}`, disk]);
const environment = [
  ["PATH", `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`],
  ["BELLJAR_TEST_TMP", "/mnt/disk"],
  ...passedOn.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
];
writeFileSync(
  join(work, "command"),
  `${environment.map(([name, value]) => `export ${name}=${quoted(value)}\n`).join("")}cd ${quoted(settings.TREE)} && exec ${command.map(quoted).join(" ")}\n`,
);
// PID 1 is told where its settings are by the kernel's command line, which passes on what it does not know as environment.
// It dies with this process, however that ends.
const child = spawn(
  "setpriv",
  [
    ...["--pdeathsig", "KILL", kernel],
    `mem=${process.env.BELLJAR_UML_MEMORY ?? "3G"}`,
    `ubd0=${disk}`,
    ...["rootfstype=hostfs", "rw", `init=${join(here, "init.sh")}`, `BELLJAR_WORK=${work}`],
    ...["con=null", "con0=null,fd:1", "con1=null,fd:1", "quiet", "loglevel=1", "panic=-1"],
  ],
  {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    env: { PATH: process.env.PATH, HOME: join(work, "home"), TMPDIR: memoryFolder() },
  },
);
/** Every process of the guest is one of the host's, in the kernel's process group. */
const kill = () => {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // gone
  }
};
const timer = setTimeout(() => {
  console.error("uml: the guest does not end: killed");
  kill();
}, deadlineMs);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => {
    kill();
    process.exit(1);
  });
process.on("exit", kill);
/** What the kernel says of itself before PID 1 has the console. */
const noise =
  /^(?:SELinux:|SELinux |mmapper_init|switch_root: old root|Failed to find module|Failed to initialize ubd|Warning: tempdir|reboot: System halted|Failed to write utmp|Powering off|$)/;
for await (const line of createInterface({ input: child.stdout })) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's own sequences are what it takes out
  const text = line.replaceAll(/\r|\x1b\[[0-9;]*[A-Za-z]/g, "");
  if (!noise.test(text)) console.log(text);
}
clearTimeout(timer);
const status = join(work, "status");
if (!existsSync(status)) console.error("uml: the guest ended without a status");
process.exitCode = existsSync(status) ? Number(readFileSync(status, "utf8")) : 1;
