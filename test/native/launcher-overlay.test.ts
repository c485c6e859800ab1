import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import type { SandboxPlan } from "../../policy/wire/wire.gen.ts";
import { needs } from "../helpers/abilities.ts";
import { entry, execPlan, launch, sandboxPlan } from "../helpers/launcher.ts";
import { tempDir } from "../helpers/places.ts";

/** CAP_CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID SETGID SETUID SYS_ADMIN MKNOD SETFCAP */
const fuseCapabilities = [0, 1, 2, 3, 4, 6, 7, 21, 27, 31].reduce((set, bit) => set | (1n << BigInt(bit)), 0n);

/** Two layers in overlay form: busybox below, a change and an addition above; the names would upset an option string. */
function layers(): readonly string[] {
  const dir = tempDir("lay:er,s \\x");
  const [low, high] = [join(dir, "low:er"), join(dir, "upp,er")];
  mkdirSync(join(low, "bin"), { recursive: true });
  copyFileSync("/bin/busybox", join(low, "bin/busybox"));
  chmodSync(join(low, "bin/busybox"), 0o755);
  mkdirSync(join(low, "etc"));
  writeFileSync(join(low, "etc/motd"), "low");
  mkdirSync(join(low, "data/deep"), { recursive: true });
  writeFileSync(join(low, "data/deep/file"), "low");
  mkdirSync(join(high, "etc"), { recursive: true });
  writeFileSync(join(high, "etc/motd"), "high");
  chmodSync(high, 0o751);
  return [low, high];
}

function image(kind: "overlay" | "fuse", rootLayers: readonly string[], more: Partial<SandboxPlan> = {}): SandboxPlan {
  const upper = (name: string) => `/sys/parts/${name}`;
  const lower = rootLayers.map((_, i) => `/sys/parts/layers/${rootLayers.length - 1 - i}`).join(":");
  return sandboxPlan({
    rootKind: kind,
    rootLayers,
    rootReadOnly: false,
    filesystem: [
      entry("proc", "/proc", { flags: ["subsetPid", "noExec"] }),
      entry("file", "/etc/hosts", { content: Buffer.from("127.0.0.1 localhost\n"), mode: 0o644 }),
      entry("scratch", "/work", { source: "work", mode: 0o755, flags: ["ownedByProgram"] }),
    ],
    companions:
      kind === "overlay"
        ? []
        : [
            {
              argv: [
                "/usr/bin/fuse-overlayfs",
                "-f",
                "-o",
                `lowerdir=${lower},upperdir=${upper("upper")},workdir=${upper("overlay")}`,
                "/dev/fd/4",
              ],
              namespaces: ["user", "mount"],
              ambientCapabilities: fuseCapabilities,
              ready: "none",
              deadlineMs: 5000,
              filter: new Uint8Array(),
              fuse: true,
              landlock: [],
            },
          ],
    ...more,
  });
}

const script = `
cd /; busybox cat etc/motd; echo; busybox stat -c %a /
busybox rm -r data && echo removed; busybox mkdir data && busybox ls -A data
echo new > etc/motd; busybox cat etc/motd etc/hosts; echo x > /new && busybox ls -d /new
`;

const command = (text: string) => ["/bin/busybox", "sh", "-c", text];

describe.each(["overlay", "fuse"] as const)("a root of layers by %s", (kind) => {
  const able = kind === "overlay" ? needs("overlay", "busybox") : needs("fuse", "fuse-overlayfs", "busybox");

  able("merges, changes and forgets; the layers stay as they are", async () => {
    const stack = layers();
    const { stdout, stderr, verdict, record } = await launch(image(kind, stack), execPlan(command(script), { env: ["PATH=/bin"] }));
    expect([verdict, stderr, record?.errorText]).toEqual(["ok", "", ""]);
    expect(stdout.split("\n")).toEqual(["high", "751", "removed", "new", "127.0.0.1 localhost", "/new", ""]);
    expect(readFileSync(join(stack[0] ?? "", "data/deep/file"), "utf8")).toBe("low");
    expect(readFileSync(join(stack[1] ?? "", "etc/motd"), "utf8")).toBe("high");
    expect(readdirSync(stack[1] ?? "")).toEqual(["etc"]);
    expect(statSync(stack[1] ?? "").mode & 0o777).toBe(0o751);
  });

  able("what is written counts against the scratch limit", async () => {
    const plan = image(kind, layers(), { scratchBytes: 1n << 20n });
    const { stderr, record } = await launch(plan, execPlan(command("busybox dd if=/bin/busybox of=/big bs=4096"), { env: ["PATH=/bin"] }));
    expect(stderr).toContain("No space left on device");
    expect(record?.diskFull).toBe(1);
    expect(record?.diskBytes).toBe(1n << 20n);
  });

  able("read-only means that nothing of it can be changed", async () => {
    const { stderr } = await launch(
      image(kind, layers(), { rootReadOnly: true }),
      execPlan(command("echo x > /etc/motd; echo x > /new; echo ok > /work/fine"), { env: ["PATH=/bin"] }),
    );
    expect(stderr.match(/Read-only file system/g)).toHaveLength(2);
  });

  able("two runs of one image see nothing of each other", async () => {
    const stack = layers();
    const run = (text: string) =>
      launch(
        image(kind, stack),
        execPlan(command(`echo ${text} > /mine; busybox sleep 0.2; busybox cat /mine; busybox ls -A /`), { env: ["PATH=/bin"] }),
      );
    const [a, b] = await Promise.all([run("first"), run("second")]);
    expect([a.stdout.split("\n")[0], b.stdout.split("\n")[0]]).toEqual(["first", "second"]);
    expect(existsSync(join(stack[1] ?? "", "mine"))).toBe(false);
  });

  able("hundreds of layers", async () => {
    const dir = tempDir();
    const [base = ""] = layers();
    const many = [base, ...Array.from({ length: 200 }, (_, i) => join(dir, `layer-with-a-long-name-${i}`))];
    for (const path of many.slice(1)) mkdirSync(join(path, "marks"), { recursive: true });
    for (const [i, path] of many.slice(1).entries()) writeFileSync(join(path, `marks/${i}`), "");
    const { stdout, verdict, record } = await launch(
      image(kind, many),
      execPlan(command("busybox ls /marks | busybox wc -l"), { env: ["PATH=/bin"] }),
    );
    expect([verdict, record?.errorErrno, stdout]).toEqual(["ok", 0, "200\n"]);
  });
});
