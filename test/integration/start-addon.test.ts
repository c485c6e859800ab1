/** The command starts its launcher by an addon of its own where it can; nobody can tell but by the time it takes. */
import { chmodSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar } from "../helpers/belljar.ts";
import { root, tempDir } from "../helpers/places.ts";

/** The command without the addon. */
function withoutAddon(): readonly string[] {
  const dir = tempDir("no-addon");
  mkdirSync(join(dir, "native/build"), { recursive: true });
  cpSync(join(root, "dist"), join(dir, "dist"), { recursive: true });
  cpSync(join(root, "native/build/belljar-launch"), join(dir, "native/build/belljar-launch"));
  return [process.execPath, join(dir, "dist/belljar.js")];
}

const ways = () => [
  { name: "addon", options: {} },
  { name: "one thread", options: { env: { UV_THREADPOOL_SIZE: "1" } } },
  { name: "Node", options: { program: withoutAddon() } },
];

needs("userns")("streams, status, signals and environment are the same either way", async () => {
  const script =
    'read line; echo "$line $(ls /proc/self/fd | wc -w) $(cat /proc/self/status | grep -E "^Sig(Blk|Ign)")"; echo error >&2; kill -USR2 $$';
  const seen = [];
  for (const { options } of ways()) {
    const { code, stdout, stderr, report } = await belljar(["run", "-q", "--", "sh", "-c", script], { stdin: "text\n", ...options });
    seen.push({ code, stdout, stderr, verdict: report?.verdict });
  }
  expect(seen[0]).toMatchObject({
    code: 128 + 12,
    stdout: expect.stringMatching(/^text \d+ SigBlk:\t0+\nSigIgn:\t0+\n$/),
    stderr: "error\n",
  });
  expect(new Set(seen.map((one) => JSON.stringify(one))).size).toBe(1);
});

test("a launcher that is missing, says nonsense, or is killed is told of in the same words either way", async () => {
  const dir = tempDir("launchers");
  const launcher = (name: string, text: string): string => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(dir, name), 0o755);
    return join(dir, name);
  };
  const told = {
    [join(dir, "missing")]: /starting the launcher: .*: no such file/,
    [launcher("nonsense", "printf 'nonsense, nonsense' >&3; cat <&3")]: /running the launcher: the launcher sent a message of unknown form/,
    [launcher("killed", "kill -9 $$")]: /running the launcher: it was killed by SIGKILL/,
    [launcher("status", "exit 3")]: /running the launcher: it exited with status 3 and no record/,
  };
  for (const [path, words] of Object.entries(told)) {
    const said = new Set<string>();
    for (const { options } of ways()) {
      const env = { BELLJAR_LAUNCHER: path, ...("env" in options ? options.env : {}) };
      const { code, stderr } = await belljar(["run", "--", "/bin/true"], { ...options, env, report: false });
      expect(code).toBe(125);
      said.add(stderr);
    }
    expect([...said]).toEqual([expect.stringMatching(words)]);
  }
});
