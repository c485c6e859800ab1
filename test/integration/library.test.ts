// run() as another program imports it, from the built bundle.
import { join } from "node:path";
import { expect } from "vitest";
import type * as Api from "../../cli/api.ts";
import { needs } from "../helpers/abilities.ts";
import { within } from "../helpers/deadline.ts";
import { filesBelow } from "../helpers/leaks.ts";
import { root, tempDir } from "../helpers/places.ts";

const load = async (): Promise<typeof Api> => (await import(join(root, "dist/api.mjs"))) as typeof Api;

/** A run whose temporary files are looked for afterwards. */
async function run(options: Api.RunOptions & { readonly encoding?: "utf8" }): Promise<Api.RunResult<string>> {
  const before = { ...process.env };
  const dir = tempDir("library");
  Object.assign(process.env, { TMPDIR: dir, XDG_RUNTIME_DIR: dir });
  try {
    return await (await load()).run(options);
  } finally {
    expect(filesBelow(dir)).toEqual([]);
    for (const name of ["TMPDIR", "XDG_RUNTIME_DIR"]) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
}

needs("userns", "python3")("the example of the documentation: stdin, files, outputs, limits", async () => {
  const result = await run({
    profile: "judge",
    command: ["python3", "-c", "import sys; open('out.txt', 'w').write(open('input.txt').read() + sys.stdin.read()); print(1)"],
    stdin: "from stdin",
    limits: { cpuTime: "1s" },
    files: { "input.txt": new TextEncoder().encode("from file, ") },
    outputs: ["out.txt"],
  });
  expect(result).toMatchObject({ stdout: "1\n", stderr: "", report: { verdict: "ok", exitCode: 0, limits: { cpuTime: 1000 } } });
  expect(Buffer.from(Object.values(result.outputs)[0] as Uint8Array).toString()).toBe("from file, from stdin");
});

needs("userns")("it never throws for what the program did", async () => {
  const nonzero = await run({ command: ["sh", "-c", "echo no >&2; exit 9"] });
  expect(nonzero).toMatchObject({ stderr: "no\n", report: { verdict: "exit-nonzero", exitCode: 9 } });
  expect((await run({ command: ["sh", "-c", "kill -SEGV $$"] })).report).toMatchObject({ verdict: "signaled", signal: "SIGSEGV" });
  expect((await run({ command: ["nosuchcommand"] })).report).toMatchObject({ verdict: "start-failed" });
  expect((await run({ command: ["sleep", "30"], limits: { wallTime: 200, cpuTime: null } })).report).toMatchObject({
    verdict: "wall-time-limit",
  });
});

needs("userns")("it throws one class, with a code, for what is wrong on our side", async () => {
  const { BelljarError } = await load();
  for (const [options, code] of [
    [{ profile: "nosuch", command: ["true"] }, "profile-not-found"],
    [{ command: [] }, "usage"],
    [{ command: ["true"], limits: { memory: "64 potatoes" } }, "usage"],
    [{ command: ["true"], files: { "../escape": "x" } }, "usage"],
    [{ command: ["true"], nonsense: 1 } as Api.RunOptions, "usage"],
  ] as const) {
    const error = await (await load()).run(options as Api.RunOptions & { readonly encoding?: "utf8" }).catch((thrown: unknown) => thrown);
    expect(error, code).toBeInstanceOf(BelljarError);
    expect((error as Api.BelljarError).code).toBe(code);
  }
});

needs("userns")("an abort ends the run at once: cancelled", async () => {
  const controller = new AbortController();
  const started = performance.now();
  const running = run({ command: ["sh", "-c", "sleep 30"], signal: controller.signal });
  setTimeout(() => controller.abort(), 150);
  const result = await within(running, { what: "the end after an abort", timeoutMs: 5000 });
  expect(result.report).toMatchObject({ verdict: "cancelled", exitCode: null });
  expect(performance.now() - started).toBeLessThan(5000);
  // Before the start there is no run to report on.
  await expect(run({ command: ["true"], signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "cancelled" });
});

needs("userns")("bytes where they are asked for, and no shell anywhere", async () => {
  const bytes = await (await load()).run({ command: ["printf", "\\377\\376"], encoding: "buffer" });
  expect(Buffer.from(bytes.stdout)).toEqual(Buffer.from([0xff, 0xfe]));
  const text = await run({ command: ["echo", "$HOME", "`id`", ";", "a  b"] });
  expect(text.stdout).toBe("$HOME `id` ; a  b\n");
});

needs("userns")(
  "fifty at once give what one gives",
  async () => {
    const { run: plain } = await load();
    const results = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const { report, stdout } = await plain({ command: ["sh", "-c", `echo ${i}; exit ${i}`] });
        return [stdout, report.exitCode];
      }),
    );
    expect(results).toEqual(Array.from({ length: 50 }, (_, i) => [`${i}\n`, i]));
  },
  60_000,
);
