// System call filters: what an allowed call costs under them, how long a run waits for them, and what the audit adds to a start.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleTypeScript, driveGroup, loadTypeScript, longGroup } from "./measure.mjs";
import { program as compiled, launcher, must } from "./native.mjs";
import { makeRootfs } from "./rootfs.mjs";

const calls = {
  getppid: "getppid, which does next to nothing",
  read: "read of one byte of /dev/zero",
  ioctl: "ioctl on no descriptor, a call with conditions",
};

function write(path, bytes) {
  writeFileSync(path, bytes);
  return path;
}

/** A filter of one instruction, which allows all: what the kernel takes for having any. */
function allowAll() {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(0x06, 0);
  bytes.writeUInt32LE(0x7fff0000, 4);
  return bytes;
}

async function* callGroups({ dir, rounds, belljar, withoutCgroup }, { benchFilters }) {
  const folder = join(dir, "calls");
  mkdirSync(folder);
  const program = join(folder, "syscalls");
  copyFileSync(compiled(dir, "syscalls"), program);
  const { audit } = benchFilters("default", { audit: true });
  const own = [write(join(folder, "base"), audit.base), write(join(folder, "profile"), audit.profile)];
  const floor = write(join(folder, "allow"), allowAll());
  const inside = ["run", "--profile", "default", "-v", `${folder}:/calls`, "--", "/calls/syscalls"];
  for (const [call, words] of Object.entries(calls)) {
    const cases = [
      { name: "no filter", argv: [program, call] },
      {
        name: "a filter that allows all",
        argv: [program, call, floor],
        note: "one instruction: what the kernel takes for having any filter",
      },
      { name: "the filters of `default`", argv: [program, call, ...own], note: "with its audit" },
      { name: "in a sandbox", argv: [...belljar, ...inside, call], env: { XDG_CONFIG_HOME: withoutCgroup }, note: "profile `default`" },
    ];
    const title = `A system call: ${words}`;
    yield await longGroup({ title, unit: "ns", cases, rounds: Math.max(5, Math.floor(rounds / 20)) }, cheapest);
  }
}

/** A process may be 6 % slower than the next for all of its life, by where its memory happens to lie: of five the best. */
const cheapest = (one) => Math.min(...Array.from({ length: 5 }, () => printed(one)));

/** The figure that a program prints. */
const printed = ({ argv, env = {} }) => Number(must(argv, { env: { ...process.env, ...env } }));

async function waitGroup({ dir, rounds }) {
  const program = await bundleTypeScript(dir, "test/bench/filters.ts");
  const [cold, kept] = ["cold", "kept"].map((name) => join(dir, name));
  const argv = (folder) => [process.execPath, program, folder];
  must(argv(kept));
  const cases = [
    { name: "from the cache", argv: argv(kept) },
    {
      name: "compiled, and kept",
      argv: argv(cold),
      before: () => rmSync(cold, { recursive: true, force: true }),
      note: "in a new process",
    },
  ];
  return longGroup({ title: "The filters of `default`", cases, rounds: Math.max(5, Math.floor(rounds / 10)) }, (one) => printed(one));
}

function startGroup({ dir, rounds }, { benchPlan }) {
  const rootfs = makeRootfs(dir);
  const cases = [false, true].map((audit) => {
    const { bytes } = benchPlan(rootfs, { cgroup: "none", audit });
    return { name: audit ? "with" : "without", way: ["plan", write(join(dir, `audit-${audit}.plan`), bytes), launcher, "run"] };
  });
  const group = driveGroup({ dir }, { title: "A start by the launcher, without and with `seccomp.audit`", cases, rounds: rounds * 3 });
  const [, withAudit] = group.results;
  withAudit.note = `${withAudit.more.toFixed(2)} ms more, at the median of the rounds`;
  return group;
}

export async function* seccompGroups(context) {
  const plans = await loadTypeScript(context.dir, "test/bench/plans.ts");
  yield* callGroups(context, plans);
  yield await waitGroup(context);
  yield startGroup(context, plans);
}
