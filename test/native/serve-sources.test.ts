/** Sandboxes that wait while what they were made from is replaced: nobody gets one that shows what was there before. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { bind, entry, sandboxPlan } from "../helpers/launcher.ts";
import { tempDir } from "../helpers/places.ts";
import { type Server, served, shell, startServer } from "../helpers/serve.ts";

const ready = needs("userns");
const size = 3;

async function serverOn(source: string, flags: Parameters<typeof bind>[2] = ["readOnly", "recursive"]): Promise<Server> {
  const server = await startServer({
    size,
    sandbox: { filesystem: sandboxPlan({}, [entry("directory", "/data"), bind(source, "/data/it", flags)]).filesystem },
  });
  onTestFinished(() => server.stop(), 60_000);
  await server.ready(size);
  return server;
}

/** What as many runs as were ready see, all at once. */
const seen = async (server: Server, script: string): Promise<readonly string[]> =>
  (await Promise.all(Array.from({ length: size }, () => served(server.socket, shell(script))))).map(({ stdout }) => stdout);

const all = (text: string): readonly string[] => Array.from({ length: size }, () => text);

const folderWith = (path: string, text: string): void => {
  mkdirSync(path);
  writeFileSync(join(path, "file"), text);
};

describe("a source that was replaced while sandboxes wait", () => {
  ready("a folder: every run sees the new one", async () => {
    const dir = tempDir("sources");
    folderWith(join(dir, "it"), "old");
    const server = await serverOn(join(dir, "it"));
    renameSync(join(dir, "it"), join(dir, "before"));
    folderWith(join(dir, "it"), "new");
    expect(await seen(server, "cat /data/it/file")).toEqual(all("new"));
    expect(server.said()).toBe("");
  });

  ready("a folder that was removed first, so that its number might be given again", async () => {
    const dir = tempDir("sources");
    folderWith(join(dir, "it"), "old");
    const server = await serverOn(join(dir, "it"));
    rmSync(join(dir, "it"), { recursive: true });
    folderWith(join(dir, "it"), "new");
    expect(await seen(server, "cat /data/it/file")).toEqual(all("new"));
  });

  ready("a file, by the rename of an editor", async () => {
    const dir = tempDir("sources");
    writeFileSync(join(dir, "it"), "old");
    const server = await serverOn(join(dir, "it"), ["readOnly", "sourceIsFile"]);
    writeFileSync(join(dir, "it.part"), "new");
    renameSync(join(dir, "it.part"), join(dir, "it"));
    expect(await seen(server, "cat /data/it")).toEqual(all("new"));
  });

  ready("a link on the way to it that leads elsewhere now", async () => {
    const dir = tempDir("sources");
    for (const name of ["old", "new"]) folderWith(join(dir, name), name);
    symlinkSync("old", join(dir, "it"));
    const server = await serverOn(join(dir, "it"));
    symlinkSync("new", join(dir, "it.part"));
    renameSync(join(dir, "it.part"), join(dir, "it"));
    expect(await seen(server, "cat /data/it/file")).toEqual(all("new"));
  });

  ready("one that is gone: nobody gets the old one, and runs go on when it is back", async () => {
    const dir = tempDir("sources");
    folderWith(join(dir, "it"), "old");
    const server = await serverOn(join(dir, "it"));
    rmSync(join(dir, "it"), { recursive: true });
    const { kinds, record } = await served(server.socket, shell("cat /data/it/file"));
    expect([kinds, record]).toEqual([["refused"], null]);
    folderWith(join(dir, "it"), "new");
    await server.ready(size);
    expect(await seen(server, "cat /data/it/file")).toEqual(all("new"));
  });

  ready("what changes within it is no replacement: the same sandboxes go on", async () => {
    const dir = tempDir("sources");
    folderWith(join(dir, "it"), "old");
    const server = await serverOn(join(dir, "it"));
    const before = server.members();
    writeFileSync(join(dir, "it", "file"), "new");
    writeFileSync(join(dir, "it", "more"), "");
    const { stdout } = await served(server.socket, shell("cat /data/it/file"));
    expect(stdout).toBe("new");
    expect(before.filter((pid) => server.members().includes(pid)).length).toBeGreaterThanOrEqual(size - 1);
  });
});
