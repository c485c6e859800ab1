// --out copies what the program left. It must be a plain file of the work folder, never what a planted link points to.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutside } from "../helpers/attack.ts";
import { plantCanary } from "../helpers/canary.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-out";

interface Planted {
  readonly kind: string;
  readonly target?: "canary" | "canary-dir" | "volume-file" | "etc";
  /** In the reported error of that output. */
  readonly error: RegExp;
  readonly path?: string;
}

const planted: readonly Planted[] = [
  { kind: "symlink", target: "canary", error: /link|regular/i },
  { kind: "symlink", target: "etc", error: /link|regular/i },
  { kind: "fifo", error: /regular/i },
  { kind: "socket", error: /regular/i },
  { kind: "directory", error: /directory|regular/i },
  { kind: "device", error: /regular|EACCES/i },
  { kind: "parent", target: "canary-dir", path: "sub/out", error: /link|director|no such/i },
  { kind: "unreadable", error: /permission|denied/i },
];

for (const { kind, target, error, path = "out" } of planted) {
  needs("userns")(`plants a ${kind}${target ? ` to ${target}` : ""} where an output is expected`, async () => {
    const canary = plantCanary();
    const destination = tempDir("destination");
    const name = canary.path.slice(canary.dir.length + 1);
    const to = target === "canary" ? canary.path : target === "canary-dir" ? canary.dir : "/etc/passwd";
    const out = kind === "parent" ? `sub/${name}` : path;
    // As what a naive copy would take it for: the same, outside, leads to the canary.
    if (kind === "symlink" || kind === "parent") {
      const cwd = tempDir("outside");
      attackOutside(program, [kind, out, to], { cwd });
      expect(readFileSync(join(cwd, out), "utf8").length, "control: the link leads there").toBeGreaterThan(0);
    }
    const inside = await attackInSandbox(program, [kind, out, to], { run: ["--out", `${out}:${join(destination, "result")}`] });
    expect(inside.tries.outcomes()).toEqual({ [kind]: "OK" });
    expect(inside.report?.outputs).toEqual([{ path: out, bytes: null, error: expect.stringMatching(error) }]);
    expect(readdirSync(destination), "nothing was written").toEqual([]);
    canary.check(inside.stdout, inside.stderr, JSON.stringify(inside.report));
  });
}

needs("userns")("a plain file is copied: the control of all these", async () => {
  const destination = tempDir("destination");
  const inside = await attackInSandbox(program, ["file", "out"], { run: ["--out", `out:${join(destination, "result")}`] });
  expect(inside.report?.outputs).toEqual([{ path: "out", bytes: 8, error: null }]);
  expect(readFileSync(join(destination, "result"), "utf8")).toBe("harmless");
  expect(readdirSync(destination)).toEqual(["result"]);
  expect(statSync(join(destination, "result")).mode & 0o7000).toBe(0);
});

needs("userns")("plants a hard link to a file of a volume", async () => {
  const canary = plantCanary();
  const destination = tempDir("destination");
  const inside = await attackInSandbox(program, ["hardlink", "out", "/data/file"], {
    run: ["-v", `${canary.path}:/data/file`, "--out", `out:${join(destination, "result")}`],
  });
  expect(inside.tries.outcomes()).toEqual({ hardlink: "EXDEV" });
  expect(inside.report?.outputs).toEqual([{ path: "out", bytes: null, error: expect.stringMatching(/no such|not there|missing/i) }]);
  expect(readdirSync(destination)).toEqual([]);
  canary.check();
});

needs("userns")("swaps a file and a link to a host file, again and again, while it is copied", async () => {
  const canary = plantCanary();
  for (let round = 0; round < 5; round++) {
    const destination = tempDir("destination");
    const inside = await attackInSandbox(program, ["swap", "out", canary.path], { run: ["--out", `out:${join(destination, "result")}`] });
    expect(inside.tries.outcomes()).toEqual({ swap: "OK" });
    // The tree is dead by then: it is the one or the other, and never what the link leads to.
    const [output] = inside.report?.outputs ?? [];
    if (output?.error === null) expect(readFileSync(join(destination, "result"), "utf8")).toBe("harmless");
    else expect(readdirSync(destination)).toEqual([]);
  }
  canary.check();
});

needs("userns")("leaves a file far larger than is taken: nothing of it arrives", async () => {
  const destination = tempDir("destination");
  const inside = await attackInSandbox(program, ["sparse", "out", String(4 * 1024 * 1024)], {
    run: ["--out", `out:${join(destination, "result")}`, "--out-max", "1M"],
  });
  expect(inside.tries.outcomes()).toEqual({ sparse: "OK" });
  expect(inside.report?.outputs).toEqual([{ path: "out", bytes: null, error: expect.stringMatching(/large|more than|limit|max/i) }]);
  expect(readdirSync(destination)).toEqual([]);
});

needs("userns")("an existing file is replaced as a whole and a link at the destination is not followed", async () => {
  const canary = plantCanary();
  const destination = tempDir("destination");
  symlinkSync(canary.path, join(destination, "result"));
  const inside = await attackInSandbox(program, ["file", "out"], { run: ["--out", `out:${join(destination, "result")}`] });
  expect(inside.report?.outputs).toEqual([{ path: "out", bytes: 8, error: null }]);
  expect(lstatSync(join(destination, "result")).isFile()).toBe(true);
  canary.check();
});

needs("userns")("an output keeps what was there when nothing is copied", async () => {
  const destination = tempDir("destination");
  mkdirSync(destination, { recursive: true });
  writeFileSync(join(destination, "result"), "from before");
  await attackInSandbox(program, ["fifo", "out"], { run: ["--out", `out:${join(destination, "result")}`] });
  expect(readFileSync(join(destination, "result"), "utf8")).toBe("from before");
  expect(existsSync(join(destination, "out"))).toBe(false);
});
