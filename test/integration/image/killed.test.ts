// SIGKILL to a command that works on images, at a random moment: the store is whole, the next one works, and nothing is left.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished } from "vitest";
import { loadImages } from "../../../cli/image/sources/load.ts";
import { openStore, type Store } from "../../../cli/image/store.ts";
import { unpackImage } from "../../../cli/image/unpack.ts";
import { needs } from "../../helpers/abilities.ts";
import { type BelljarOptions, belljar, startBelljar } from "../../helpers/belljar.ts";
import { until } from "../../helpers/deadline.ts";
import { dockerRegistry, push, writeLayout } from "../../helpers/docker-registry.ts";
import { filesBelow } from "../../helpers/leaks.ts";
import { seededRandom } from "../../helpers/random.ts";
import { baseLayer, drivers, imageHome, runnableImage } from "../../helpers/run-image.ts";
import { archive, directory, file } from "../../helpers/tar-writer.ts";

const killsOfEach = 20;

interface Scene {
  readonly store: Store;
  readonly layout: string;
  readonly registry: string;
}

const loaded = "docker.io/t/killed:1";
const content = createHash("shake256", { outputLength: 20_000 }).update("killed").digest();
const filesOf = (layer: number): readonly (readonly [name: string, content: Buffer])[] =>
  Array.from({ length: 60 }, (_, i) => [`l${layer}/f${i + 10}`, content.subarray(i * layer)] as const);
const summing = "cat /l*/f* | /bin/busybox sha256sum";
const sum = `${createHash("sha256")
  .update(Buffer.concat([0, 1, 2].flatMap((layer) => filesOf(layer).map(([, bytes]) => bytes))))
  .digest("hex")}  -\n`;

async function empty({ store }: Scene): Promise<void> {
  await store.removeReferences(() => true);
  await store.prune();
}
async function withImage({ store, layout }: Scene): Promise<void> {
  await loadImages({ store, input: layout });
  await store.close();
}
async function withLayers(scene: Scene): Promise<void> {
  await withImage(scene);
  const { store } = scene;
  const { descriptor } = await store.resolve(loaded);
  await unpackImage({ store, name: loaded, ...(await store.readImage(descriptor, loaded)), ids: { kind: "single" } });
  await store.close();
}

/** Layers that no compression makes smaller, with enough files that a kill finds one half unpacked. */
const tars = [0, 1, 2].map((layer) =>
  archive(directory(`l${layer}`), ...filesOf(layer).map(([name, bytes], i) => file(name, bytes, { uid: i % 5 }))),
);

interface Operation {
  /** Makes the store such that the command has all its work to do. */
  readonly prepare: (scene: Scene) => Promise<void>;
  /** Different ones in turn. */
  readonly args: (scene: Scene, round: number) => readonly string[];
  /** What the command says when nobody kills it. */
  readonly says: RegExp | string;
}

const running = (more: readonly string[]): readonly string[] => [
  "run",
  "-q",
  "-i",
  loaded,
  ...more,
  "--",
  "/bin/sh",
  "-c",
  `(sleep 20 & sleep 20 &); ${summing}`,
];

const operations: Readonly<Record<string, Operation>> = {
  pull: { prepare: empty, args: ({ registry }) => ["pull", "-q", `${registry}/t/killed:1`], says: /^127.*killed:1 is sha256:/ },
  load: {
    prepare: empty,
    args: ({ layout }, round) =>
      round % 2 === 0 ? ["image", "load", "-i", layout] : ["image", "import", "-i", `${layout}/rootfs.tar`, "t/rootfs"],
    says: /^(?:loaded docker.io\/t\/killed:1|imported docker.io\/t\/rootfs:latest) /,
  },
  // Of single ids and of subordinate ones: the files of the latter are nobody's to remove but root's inside.
  unpack: {
    prepare: async (scene) => {
      await empty(scene);
      await withImage(scene);
    },
    args: (_, round) => running(round % 2 === 0 ? [] : ["-p", "image"]),
    says: sum,
  },
  prune: {
    prepare: async (scene) => {
      await withLayers(scene);
      await scene.store.removeReferences(() => true);
    },
    args: () => ["image", "prune", "--all"],
    says: /removed|nothing/,
  },
  run: {
    prepare: withLayers,
    args: (_, round) => {
      const storage = round % 2 === 0 ? "memory" : "disk";
      return running(["--overlay-driver", drivers[round % drivers.length] ?? "copy", "--set", `scratch.storage=${storage}`]);
    },
    says: sum,
  },
};

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended by itself
  }
}

/** What there is of somebody's work in the store. */
const traces = ({ paths }: Store): readonly string[] =>
  [paths.sessions, paths.trash].flatMap((folder) => readdirSync(folder)).concat(existsSync(paths.pruning) ? ["pruning"] : []);

/** A command, and the moment from which it has been at work in the store: before that, Node was only starting. */
function startWork(store: Store, args: readonly string[], options: BelljarOptions) {
  const before = new Set(traces(store));
  const handle = startBelljar(args, options);
  let isOver = false;
  const over = handle.result.then(() => {
    isOver = true;
  });
  over.catch(() => undefined);
  const isAtWork = (): boolean => isOver || traces(store).some((name) => !before.has(name));
  return { ...handle, atWork: until(isAtWork, { what: "the command to be at work", timeoutMs: 30_000, everyMs: 1 }) };
}

describe("a command on images that is killed", () => {
  const random = seededRandom("moments of SIGKILL");
  for (const [name, { prepare, args, says }] of Object.entries(operations))
    needs(
      "userns",
      "overlay",
      "fuse",
      "fuse-overlayfs",
      "subids",
      "docker-registry",
      "skopeo",
    )(
      `during ${name}, ${killsOfEach} times: the store verifies, the next works, nothing is left`,
      async () => {
        const home = imageHome();
        const store = await openStore(home.store);
        onTestFinished(() => store.close());
        const layout = join(home.folder, "layout");
        writeLayout(layout, { "t/killed:1": runnableImage([baseLayer(), ...tars]) });
        writeFileSync(join(layout, "rootfs.tar"), tars[0] ?? "");
        const scene: Scene = { store, layout, registry: "" };
        if (name === "pull") {
          const { host } = await dockerRegistry();
          await push(layout, "t/killed:1", { to: `${host}/t/killed:1` });
          Object.assign(scene, { registry: host });
        }
        const places = { TMPDIR: join(home.folder, "tmp"), XDG_RUNTIME_DIR: join(home.folder, "runtime") };
        for (const place of Object.values(places)) mkdirSync(place, { mode: 0o700 });
        const options: BelljarOptions = { env: { ...home.env, ...places }, report: false };
        const works = async (round: number): Promise<number> => {
          const { atWork, result } = startWork(store, args(scene, round), options);
          await atWork;
          const start = performance.now();
          const { code, stdout, stderr } = await result;
          expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: typeof says === "string" ? says : expect.stringMatching(says) });
          return performance.now() - start;
        };
        await prepare(scene);
        let durationMs = await works(0);
        let kills = 0;
        for (let round = 1; kills < killsOfEach; round++) {
          expect(round, "the kills come too late").toBeLessThan(4 * killsOfEach);
          await prepare(scene);
          const victim = startWork(store, args(scene, round), options);
          const pid = await victim.pid;
          await victim.atWork;
          await sleep(random() * durationMs);
          kill(pid);
          // The helper itself fails the test when a process is left.
          const { signal, code } = await victim.result;
          if (signal === 9) kills++;
          else expect(code).toBe(0);
          expect((await store.verify()).problems, `kill ${kills}`).toEqual([]);
          durationMs = Math.min(durationMs, await works(round));
        }
        await belljar(["gc"], options);
        for (const place of Object.values(places)) expect(filesBelow(place)).toEqual([]);
        // What was killed in the moment of its beginning is removed when it is old.
        for (const session of readdirSync(store.paths.sessions)) utimesSync(join(store.paths.sessions, session), 1, 1);
        await store.removeReferences(() => true);
        expect((await store.prune()).problems).toEqual([]);
        expect(await store.verify()).toMatchObject({ images: 0, blobs: 0, layers: 0, problems: [] });
        for (const place of ["sessions", "trash", "partial"] as const) expect(readdirSync(store.paths[place]), place).toEqual([]);
      },
      180_000,
    );
});
