// Sandbox: what is done once, what is each run's own, the queue, cancelling at any moment, and that nothing is left.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { startBelljar } from "../helpers/belljar.ts";
import { until, within } from "../helpers/deadline.ts";
import { type Api, load, openSandbox, ownLaunchers, privatePlaces, setEnvironment } from "../helpers/library.ts";
import { root, tempDir } from "../helpers/places.ts";
import { baseLayer, imageHome, runnableImage } from "../helpers/run-image.ts";

const shell = (text: string): readonly string[] => ["sh", "-c", text];
const textOf = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : Buffer.from(bytes).toString());

interface Gate {
  readonly input: AsyncGenerator<string>;
  readonly open: () => void;
}

/** An input that gives its one line when it is opened. */
function gate(): Gate {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  async function* input() {
    await opened;
    yield "go\n";
  }
  return { input: input(), open };
}

describe("what is done once", () => {
  needs("userns")("a profile that is changed or removed after open changes nothing, also for limits of a run", async () => {
    const profile = join(tempDir(), "mine.json");
    writeFileSync(profile, JSON.stringify({ schemaVersion: 1, extends: "judge", process: { env: { MARK: "first" } } }));
    const sandbox = await openSandbox({ profile });
    writeFileSync(profile, "{");
    for (const limits of [{}, { wallTime: "7s" }]) {
      const { stdout, report } = await sandbox.run(shell("echo $MARK"), { limits });
      expect(stdout).toBe("first\n");
      expect(report.limits["wallTime"]).toBe("wallTime" in limits ? 7000 : 6000);
    }
    await expect((await load()).Sandbox.open({ profile })).rejects.toMatchObject({ code: "profile-invalid" });
  });

  needs("userns")("limits, variables and the working directory of a run are added to the sandbox's", async () => {
    const sandbox = await openSandbox({ profile: "judge", limits: { wallTime: "9s", openFiles: 100 }, env: { A: "1", B: "1" } });
    const { stdout, report } = await sandbox.run(shell("echo $A $B $C; pwd; ulimit -n"), {
      ...{ env: { B: "2", C: "3" }, cwd: "/tmp", limits: { openFiles: 50 } },
    });
    expect(stdout).toBe("1 2 3\n/tmp\n50\n");
    expect(report.limits).toMatchObject({ wallTime: 9000, openFiles: 50 });
    const second = await sandbox.run(shell("echo $A $B $C; pwd; ulimit -n"));
    expect(second.stdout).toBe("1 1\n/work\n100\n");
  });

  needs("userns", "busybox")("layers of an image are kept until the sandbox is closed, though its name is gone", async () => {
    const home = imageHome();
    await home.add("kept:1", runnableImage([baseLayer()], { Cmd: ["/bin/printf", "its own command\\n"] }));
    setEnvironment({ XDG_DATA_HOME: home.env["XDG_DATA_HOME"] as string });
    const layers = () => readdirSync(join(home.store, "layers"), { recursive: true }).length;
    const sandbox = await openSandbox({ profile: "image", image: "kept:1", pull: "never" });
    await home.command(["image", "rm", "kept:1"]);
    await home.command(["image", "prune"]);
    const unpacked = layers();
    const results = await Promise.all([
      sandbox.run([]),
      sandbox.run(["sh", "-c", "echo x > /etc/new; cat /etc/new"]),
      sandbox.run(["ls", "/etc"]),
    ]);
    expect(results.map(({ stdout }) => stdout)).toEqual(["its own command\n", "x\n", expect.stringMatching(/\bpasswd\b/)]);
    expect(results[2]?.stdout).not.toContain("new");
    await sandbox.close();
    await home.command(["image", "prune"]);
    expect(layers()).toBeLessThan(unpacked);
  });
});

describe("warm launchers", () => {
  needs("userns")("wait, are used once and replaced, whether they live or have been killed, and end with the sandbox", async () => {
    const sandbox = await openSandbox({ profile: "judge", warm: 2, concurrency: 2 });
    const first = ownLaunchers();
    expect(first.length).toBe(2);
    const { stdout } = await sandbox.run(["cat"], { stdin: "from a spare" });
    expect(stdout).toBe("from a spare");
    await until(() => ownLaunchers().length === 2, { what: "another one in its place" });
    expect(ownLaunchers().filter((pid) => first.includes(pid)).length).toBe(1);
    for (const pid of ownLaunchers()) process.kill(pid, "SIGKILL");
    await until(() => ownLaunchers().length === 0, { what: "the end of those that were killed" });
    expect((await sandbox.run(shell("echo x; exit 3"))).report).toMatchObject({ verdict: "exit-nonzero", exitCode: 3 });
    await until(() => ownLaunchers().length === 2, { what: "new ones" });
    const running = [0, 1, 2, 3].map((index) => sandbox.run(["echo", String(index)]));
    expect((await Promise.all(running)).map(({ stdout: text }) => text)).toEqual(["0\n", "1\n", "2\n", "3\n"]);
    await sandbox.close();
    expect(ownLaunchers()).toEqual([]);
  });
});

describe("each run has a sandbox of its own", () => {
  needs("userns")("on disk too, where the profile says so: a folder for each, none of which stays", async () => {
    const home = tempDir("cache");
    setEnvironment({ XDG_CACHE_HOME: home });
    const sandbox = await openSandbox({ set: { "scratch.storage": "disk" }, concurrency: 2 });
    const work = () => sandbox.run(shell("ls -A /work /tmp | grep -c mark; echo > /work/mark; echo > /tmp/mark"));
    for (const { stdout } of [await work(), ...(await Promise.all([work(), work()]))]) expect(stdout).toBe("0\n");
    await sandbox.close();
    expect(readdirSync(join(home, "belljar/scratch"))).toEqual([]);
  });

  needs("userns", "cgroup")("a limit that no run before had is enforced by what enforces it", async () => {
    const sandbox = await openSandbox({ profile: "judge", limits: { cpus: null } });
    expect((await sandbox.run(["true"])).report.enforcement["cpus"]).toBeUndefined();
    const { report } = await sandbox.run(["true"], { limits: { cpus: 0.5 } });
    const direct = await (await load()).run({ profile: "judge", command: ["true"], limits: { cpus: 0.5 } });
    expect(report.enforcement).toEqual(direct.report.enforcement);
    expect(report.limits).toEqual(direct.report.limits);
  });

  const places = ["/work", "/tmp", "/dev/shm"];
  const writeAll = places.map((place) => `echo $NAME > ${place}/mark`).join("; ");
  const listAll = `for place in ${places.join(" ")}; do ls -A $place; done`;

  needs("userns")("nothing is there of a run before", async () => {
    const sandbox = await openSandbox();
    await sandbox.run(shell(writeAll), { env: { NAME: "first" } });
    expect((await sandbox.run(shell(listAll))).stdout).toBe("");
  });

  needs("userns")("two at the same time see neither files nor processes of each other", async () => {
    const sandbox = await openSandbox({ concurrency: 2 });
    let inside = 0;
    const gates = [gate(), gate()];
    const look = shell(
      `${writeAll}; echo; read go; cat ${places.map((place) => `${place}/mark`).join(" ")}; ls /work /proc | grep -c -E '^(own|[0-9]+)$'`,
    );
    const runs = gates.map(({ input }, index) => {
      let text = "";
      return sandbox
        .run(look, {
          env: { NAME: `run-${index}` },
          files: { own: `${index}` },
          outputs: ["own"],
          stdin: input,
          onStdout: (chunk) => {
            // Both have written before either looks.
            if (text === "" && ++inside === 2) for (const one of gates) one.open();
            text += Buffer.from(chunk).toString();
          },
        })
        .then(({ outputs }) => ({ text, own: textOf(outputs["own"]) }));
    });
    const seen = await within(Promise.all(runs), { what: "both runs", timeoutMs: 20_000 });
    // The shell, ls and grep, init, and the file.
    for (const [index, { text, own }] of seen.entries()) {
      expect(text.trim().split("\n").slice(0, 3)).toEqual([`run-${index}`, `run-${index}`, `run-${index}`]);
      expect(Number(text.trim().split("\n").at(-1))).toBeLessThanOrEqual(6);
      expect(own).toBe(String(index));
    }
  });

  needs("userns")("files come out only as what they are: no links, nothing but regular files, no more than was asked for", async () => {
    const sandbox = await openSandbox();
    const make =
      "echo good > good; ln -s /etc/passwd link; ln -s . up; mkfifo fifo; mkdir folder; head -c 5000 /dev/zero > big; ln good hard";
    const names = ["good", "link", "up/good", "fifo", "folder", "big", "absent", "hard"];
    const { report, outputs } = await sandbox.run(shell(make), { outputs: names, outputMaxBytes: 4096 });
    expect(Object.keys(outputs).sort()).toEqual(["good", "hard"]);
    expect(textOf(outputs["good"])).toBe("good\n");
    expect(report.outputs.map(({ path, error }) => [path, error === null])).toEqual(
      names.map((name) => [name, name === "good" || name === "hard"]),
    );
    for (const name of ["../escape", "/etc/passwd", ""])
      await expect(sandbox.run(["true"], { outputs: [name] }), name).rejects.toMatchObject({ code: "usage" });
  });
});

describe("the queue", () => {
  needs("userns")("as many at once as concurrency says, in the order in which they came; one more than may wait is refused", async () => {
    const sandbox = await openSandbox({ concurrency: 2, queueLimit: 2 });
    const order: number[] = [];
    let highest = 0;
    const gates = [0, 1, 2, 3].map(gate);
    const runs = gates.map(({ input }, index) =>
      sandbox.run(shell("echo; read go"), {
        stdin: input,
        onStdout: () => {
          order.push(index);
          highest = Math.max(highest, ownLaunchers().length);
        },
      }),
    );
    await expect(sandbox.run(["true"])).rejects.toMatchObject({ code: "queue-full", hint: expect.stringContaining("queueLimit") });
    await until(() => order.length === 2, { what: "two that run" });
    for (const { open } of gates) open();
    const reports = await Promise.all(runs);
    expect(reports.map(({ report }) => report.verdict)).toEqual(["ok", "ok", "ok", "ok"]);
    expect({ order: order.slice().sort(), highest }).toEqual({ order: [0, 1, 2, 3], highest: 2 });
    expect(order.slice(0, 2).sort()).toEqual([0, 1]);
    expect((await sandbox.run(["true"])).report.verdict).toBe("ok");
  });

  needs("userns")(
    "two hundred runs through four places: each its own answer, and nothing is left, neither files nor launchers nor descriptors nor listeners",
    async () => {
      const nothingLeft = privatePlaces();
      const { Sandbox } = await load();
      const warned: Error[] = [];
      const onWarning = (warning: Error) => void warned.push(warning);
      process.on("warning", onWarning);
      const signal = new AbortController().signal;
      const sandbox = await Sandbox.open({ profile: "judge", concurrency: 4, limits: { wallTime: "30s" } });
      await sandbox.run(["true"]);
      const descriptors = () => readdirSync("/proc/self/fd").length;
      const before = descriptors();
      let highest = 0;
      const results = await Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          const { report, stdout, outputs } = await sandbox.run(shell(`cat in; cat > out; exit ${index % 3}`), {
            ...{ files: { in: `in ${index}` }, stdin: `out ${index}`, outputs: ["out"], signal },
            onStderr: () => undefined,
          });
          if (index % 10 === 0) highest = Math.max(highest, ownLaunchers().length);
          return [stdout, textOf(outputs["out"]), report.exitCode];
        }),
      );
      expect(results).toEqual(Array.from({ length: 200 }, (_, index) => [`in ${index}`, `out ${index}`, index % 3]));
      expect(highest).toBeLessThanOrEqual(4);
      await sandbox.close();
      await nothingLeft();
      await until(() => descriptors() <= before, { what: `no more than the ${before} descriptors of before` });
      process.off("warning", onWarning);
      expect(warned).toEqual([]);
    },
    120_000,
  );
});

describe("an abort", () => {
  needs("userns")("before, while it waits, and while it runs", async () => {
    const sandbox = await openSandbox({ concurrency: 1 });
    await expect(sandbox.run(["true"], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "cancelled" });
    const [running, waiting] = [new AbortController(), new AbortController()];
    let started = () => {};
    const isUp = new Promise<void>((resolve) => {
      started = resolve;
    });
    const first = sandbox.run(shell("echo; sleep 30"), { signal: running.signal, onStdout: started });
    const second = sandbox.run(["true"], { signal: waiting.signal });
    const third = sandbox.run(["true"]);
    await isUp;
    const reason = new Error("enough");
    waiting.abort(reason);
    await expect(second).rejects.toMatchObject({ code: "cancelled", cause: reason });
    running.abort();
    expect((await first).report).toMatchObject({ verdict: "cancelled", exitCode: null });
    expect((await third).report.verdict).toBe("ok");
  });

  // Every phase is met by some of so many moments: writing files, starting, copying in, running, copying out, reading outputs.
  needs("userns")(
    "at any moment settles the run, as cancelled or as what it was, and leaves nothing",
    async () => {
      const nothingLeft = privatePlaces();
      const { Sandbox, BelljarError } = await load();
      const sandbox = await Sandbox.open({ concurrency: 3, limits: { disk: "64M" } });
      const big = Buffer.alloc(4 << 20, 1);
      const work = { files: { big, small: "x" }, outputs: ["copy", "big"] };
      const started = performance.now();
      await sandbox.run(shell("cat big > copy"), work);
      const wholeMs = performance.now() - started;
      const seen = new Set<string>();
      const tries = 60;
      const abortedAfter = async (atMs: number): Promise<void> => {
        const controller = new AbortController();
        const timer = setTimeout(() => controller.abort(), atMs);
        const running = sandbox.run(shell("cat big > copy"), { ...work, signal: controller.signal });
        try {
          const { report, outputs } = await within(running, {
            what: `the end of a run that was aborted after ${atMs} ms`,
            timeoutMs: 20_000,
          });
          if (outputs["copy"] !== undefined) expect(outputs["copy"].length).toBeLessThanOrEqual(big.length);
          seen.add(report.verdict);
        } catch (error) {
          expect(error).toBeInstanceOf(BelljarError);
          seen.add(`thrown: ${(error as Api.BelljarError).code}`);
        } finally {
          clearTimeout(timer);
        }
      };
      const lane = async (first: number): Promise<void> => {
        for (let index = first; index < tries; index += 3) await abortedAfter((wholeMs * 1.5 * index) / tries);
      };
      await Promise.all([lane(0), lane(1), lane(2)]);
      expect([...seen].filter((word) => !["ok", "cancelled", "thrown: cancelled"].includes(word))).toEqual([]);
      expect(seen.has("cancelled")).toBe(true);
      await sandbox.close();
      await nothingLeft();
    },
    90_000,
  );
});

describe("close", () => {
  needs("userns")("waits for what runs and what waits, and takes nothing new", async () => {
    const sandbox = await openSandbox({ concurrency: 1 });
    const { input, open } = gate();
    const runs = [sandbox.run(shell("read go; echo one"), { stdin: input }), sandbox.run(["echo", "two"])];
    let closed = false;
    const closing = sandbox.close().then(() => {
      closed = true;
    });
    await expect(sandbox.run(["true"])).rejects.toMatchObject({ code: "closed" });
    await expect(sandbox.interact({ command: ["true"] }, { command: ["true"] })).rejects.toMatchObject({ code: "closed" });
    await until(() => ownLaunchers().length === 1, { what: "the first run" });
    expect(closed).toBe(false);
    open();
    expect((await Promise.all(runs)).map(({ stdout }) => stdout)).toEqual(["one\n", "two\n"]);
    await closing;
    await sandbox.close();
    await sandbox.close({ cancel: true });
  });

  needs("userns")("with cancel ends what runs and refuses what waits, also after a close that waits", async () => {
    for (const closesFirst of [false, true]) {
      const sandbox = await openSandbox({ concurrency: 2 });
      const runs = [0, 1].map(() => sandbox.run(["sleep", "30"]));
      const waits = sandbox.run(["true"]);
      const refused = expect(waits).rejects.toMatchObject({ code: "closed" });
      await until(() => ownLaunchers().length === 2, { what: "two runs" });
      const first = closesFirst ? sandbox.close() : Promise.resolve();
      await within(sandbox.close({ cancel: true }), { what: "the end of close", timeoutMs: 10_000 });
      await first;
      expect(ownLaunchers()).toEqual([]);
      await refused;
      for (const run of runs) expect((await run).report.verdict).toBe("cancelled");
    }
  });

  needs("userns")("is what `await using` does", async () => {
    const nothingLeft = privatePlaces();
    const { Sandbox } = await load();
    let running: Promise<Api.RunResult<string>>;
    let left: Api.Sandbox;
    {
      await using sandbox = await Sandbox.open();
      left = sandbox;
      running = sandbox.run(["echo", "x"]);
    }
    await nothingLeft();
    expect((await running).stdout).toBe("x\n");
    await expect(left.run(["true"])).rejects.toMatchObject({ code: "closed" });
  });

  needs("userns")("what is wrong with it is told when it is opened", async () => {
    const { Sandbox } = await load();
    for (const [options, code] of [
      [{ profile: "no-such" }, "profile-not-found"],
      [{ limits: { memory: "x" } }, "usage"],
      [{ image: "debian", rootfs: "host" }, "usage"],
      [{ volumes: [{ source: "/no/such/place", target: "/x" }] }, "file-unreadable"],
      [{ concurrency: 0 }, "usage"],
    ] as readonly (readonly [Api.OpenOptions, string])[])
      await expect(Sandbox.open(options), code).rejects.toMatchObject({ code });
    await expect(Sandbox.open({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "cancelled" });
  });
});

// Whatever is left of the process becomes the harness's, which then fails.
needs("userns")("a process that is killed takes its runs, its interactions and its warm sandboxes along", async () => {
  const script = `import { Sandbox } from ${JSON.stringify(join(root, "dist/api.mjs"))};
const sandbox = await Sandbox.open({ warm: 3, concurrency: 8 });
let up = 0;
const onStderr = () => { if (++up === 4) process.stdout.write("up"); };
const command = ["sh", "-c", "echo >&2; trap '' TERM PIPE HUP; sleep 60 & read a; wait"];
for (let i = 0; i < 2; i++) sandbox.run(command, { onStderr, stdin: (async function* () { await new Promise(() => {}); })() });
sandbox.interact({ command, onStderr }, { command, onStderr });`;
  const handle = startBelljar([], { program: [process.execPath, "--input-type=module", "-e", script] });
  await until(() => handle.output() === "up", { what: "all four programs", timeoutMs: 15_000 });
  process.kill(await handle.pid, "SIGKILL");
  expect(await handle.result).toMatchObject({ leftovers: [], leftFiles: [] });
});
