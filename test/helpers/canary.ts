import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { tempDir } from "./places.ts";

export interface Canary {
  /** A directory of the host, readable by everybody, that holds the file. */
  readonly dir: string;
  readonly path: string;
  readonly content: string;
  /** Asserts: the file is unchanged, nothing new lies beside it, and its content is in none of the outputs. */
  check(...outputs: readonly (string | undefined)[]): void;
}

/** Plants a file with a random name and content on the host; no sandbox may read, change or replace it. */
export function plantCanary(parent?: string): Canary {
  const dir = parent ?? tempDir("canary");
  const path = join(dir, `canary-${randomBytes(8).toString("hex")}`);
  const content = `canary:${randomBytes(24).toString("hex")}`;
  if (parent === undefined) chmodSync(dir, 0o755);
  writeFileSync(path, content, { mode: 0o666, flag: "wx" });
  chmodSync(path, 0o666);
  onTestFinished(() => rmSync(path, { force: true }));
  const before = statSync(path);
  return {
    dir,
    path,
    content,
    check(...outputs) {
      expect(existsSync(path), "the canary is still there").toBe(true);
      expect(readFileSync(path, "utf8"), "the canary's content").toBe(content);
      const after = statSync(path);
      expect(
        { ino: after.ino, mode: after.mode, uid: after.uid, nlink: after.nlink, mtimeMs: after.mtimeMs },
        "the canary's metadata",
      ).toEqual({
        ino: before.ino,
        mode: before.mode,
        uid: before.uid,
        nlink: before.nlink,
        mtimeMs: before.mtimeMs,
      });
      for (const output of outputs) expect(output ?? "", "the canary's content in an output").not.toContain(content.slice(7));
    },
  };
}
