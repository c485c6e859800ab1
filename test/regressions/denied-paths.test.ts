// Kind of fault: a path that is to be hidden stays writable, breaks the run when it is a link or is missing, or leaves litter on the host.
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, profileFile } from "../helpers/attack.ts";
import { belljar, belljarRun, startBelljar } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

function project(): string {
  const dir = tempDir("project");
  mkdirSync(join(dir, "secret"));
  writeFileSync(join(dir, "secret/key"), "canary-of-the-project");
  writeFileSync(join(dir, "file"), "canary-of-the-file");
  writeFileSync(join(dir, "plain"), "plain\n");
  symlinkSync("secret", join(dir, "link"));
  symlinkSync("nowhere", join(dir, "dangling"));
  return dir;
}

/** Names, types, modes, times and contents of everything below. */
function fingerprint(dir: string): string {
  const lines = readdirSync(dir, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const path = join(dir, name);
      const { mode, mtimeMs, ino } = lstatSync(path);
      const content = lstatSync(path).isFile() ? readFileSync(path, "utf8") : lstatSync(path).isSymbolicLink() ? readlinkSync(path) : "";
      return [name, mode, mtimeMs, ino, content].join("\t");
    });
  return createHash("sha256").update(lines.join("\n")).digest("hex");
}

/** A profile that shows a folder, writable, at /p and hides these places. */
const hiding = (dir: string, ...targets: readonly string[]) =>
  profileFile({
    mounts: [
      { kind: "bind", source: dir, target: "/p", access: "read-write", comment: "the project" },
      ...targets.map((target) => ({ kind: "mask" as const, target, comment: "hidden" })),
    ],
  });

needs("userns")("a hidden folder and a hidden file show nothing and take nothing, in a writable volume", async () => {
  const dir = project();
  const before = fingerprint(dir);
  const result = await attackInSandbox(
    "attack-files",
    [
      "list",
      "/p/secret",
      "read",
      "/p/secret/key",
      "create",
      "/p/secret/new",
      "read",
      "/p/file",
      "append",
      "/p/file",
      "read",
      "/p/link/key",
    ],
    {
      run: ["-p", hiding(dir, "/p/secret", "/p/file")],
    },
  );
  expect(result.stdout).not.toContain("canary-of-the");
  expect(result.tries.outcomes()).toMatchObject({
    list: expect.stringMatching(/^(OK|EACCES)$/),
    create: expect.stringMatching(/^(EROFS|EACCES)$/),
  });
  expect(fingerprint(dir)).toBe(before);
});

needs("userns")(
  "hiding through a link hides what it points to; a dangling and a missing one are said or skipped, with nothing made on the host",
  async () => {
    const dir = project();
    const before = fingerprint(dir);
    const link = await belljarRun(["-p", hiding(dir, "/p/link"), "--", "cat", "/p/secret/key"]).catch((error: unknown) => String(error));
    if (typeof link === "string") expect(link).toMatch(/\/p\/link/);
    else expect(link.stdout + link.stderr).not.toContain("canary-of-the-project");
    for (const target of ["/p/dangling", "/p/nothing", "/p/*"]) {
      const result = await belljarRun(["-p", hiding(dir, target), "--", "cat", "/p/plain"]).catch((error: unknown) => String(error));
      if (typeof result === "string") expect(result).toContain(target);
      else
        expect(result.report.verdict === "ok" ? result.stdout : result.stderr).toMatch(
          result.report.verdict === "ok" ? /^plain\n$/ : new RegExp(target.replace("*", "\\*")),
        );
    }
    expect(fingerprint(dir)).toBe(before);
  },
);

needs("userns")("a folder made read-only within a writable volume", async () => {
  const dir = project();
  const profile = profileFile({
    mounts: [
      { kind: "bind", source: dir, target: "/p", access: "read-write", comment: "the project" },
      { kind: "read-only", target: "/p/secret" },
    ],
  });
  const result = await attackInSandbox("attack-files", ["read", "/p/secret/key", "write", "/p/secret/key", "create", "/p/new"], {
    run: ["-p", profile],
  });
  expect(result.tries.outcomes()).toEqual({ read: "OK", write: "EROFS", create: "OK" });
});

needs("userns")(
  "runs that are killed leave a project as it was",
  async () => {
    const dir = project();
    const before = fingerprint(dir);
    const killed = Array.from({ length: 30 }, async (_, i) => {
      const handle = startBelljar(["run", "-p", hiding(dir, "/p/secret"), "--", "sleep", "30"], { report: false });
      const pid = await handle.pid;
      setTimeout(() => process.kill(pid, "SIGKILL"), i * 4);
      return handle.result;
    });
    for (const result of await Promise.all(killed)) expect(result.signal).toBe(9);
    expect(fingerprint(dir)).toBe(before);
  },
  60_000,
);

needs("userns")("what a profile hides stays hidden when a volume of the command line is mounted around it", async () => {
  const dir = project();
  const profile = profileFile({ mounts: [{ kind: "mask", target: "/p/secret", comment: "hidden" }] });
  const result = await belljar(["run", "-v", `${dir}:/p`, "-p", profile, "--", "cat", "/p/secret/key"], { report: false });
  // Hidden or refused: either will do, shown will not.
  expect(result.code).not.toBe(0);
  expect(result.stdout).toBe("");
});
