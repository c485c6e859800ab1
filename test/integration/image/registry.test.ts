import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect } from "vitest";
import { type PullOptions, pullImage } from "../../../cli/image/pull.ts";
import { parseReference } from "../../../cli/image/reference.ts";
import { openStore, type Store } from "../../../cli/image/store.ts";
import type { BelljarError } from "../../../policy/errors.ts";
import { needs } from "../../helpers/abilities.ts";
import { type Account, dockerRegistry, push, tokenService, writeLayout } from "../../helpers/docker-registry.ts";
import { tempDir } from "../../helpers/places.ts";
import { testImage, testIndex } from "../../helpers/registry.ts";

const realTest = needs("docker-registry", "skopeo", "htpasswd", "openssl");
const account: Account = { username: "jane", password: "pass:wörd" };

/** A gzip layer with one file of chance in it. */
function tarLayer(name: string): Buffer {
  const dir = tempDir("layer");
  writeFileSync(join(dir, name), randomBytes(200_000));
  const { stdout, status } = spawnSync("tar", ["-c", "-C", dir, name], { maxBuffer: 1 << 24 });
  expect(status).toBe(0);
  return gzipSync(stdout);
}

const here = { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" };
const arm = { os: "linux", architecture: "arm", variant: "v7" };

/** A layout with a plain image and an index of two. */
function layoutWithImages() {
  const plain = testImage([tarLayer("a"), tarLayer("b"), tarLayer("c")]);
  const other = testImage([tarLayer("d")], { platform: arm });
  const layout = tempDir("layout");
  writeLayout(layout, {
    plain,
    many: testIndex([
      [other, arm],
      [plain, here],
    ]),
  });
  return { layout, plain, other };
}

function login(host: string, { username, password }: Account): Readonly<Record<string, string>> {
  const home = tempDir("home");
  mkdirSync(join(home, ".config/containers"), { recursive: true });
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  writeFileSync(join(home, ".config/containers/auth.json"), JSON.stringify({ auths: { [host]: { auth } } }));
  return { HOME: home };
}

async function withStore<T>(action: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(join(tempDir("store"), "belljar"));
  try {
    return await action(store);
  } finally {
    await store.close();
  }
}
const pull = (text: string, store: Store, more: Partial<PullOptions> = {}) =>
  pullImage({ reference: parseReference(text), store, config: {}, progress: () => undefined, environment: {}, ...more });
const failure = (promise: Promise<unknown>): Promise<BelljarError | null> =>
  promise.then(
    () => null,
    (error: BelljarError) => error,
  );

realTest("an open registry: an image, by tag and by digest, and an index", () =>
  withStore(async (store) => {
    const { layout, plain, other } = layoutWithImages();
    const registry = await dockerRegistry();
    await push(layout, "plain", { to: `${registry.host}/team/plain:1` });
    await push(layout, "many", { to: `${registry.host}/team/many:1`, more: ["--all"] });
    const { manifest } = await pull(`${registry.host}/team/plain:1`, store);
    expect(manifest.digest).toBe(plain.descriptor.digest);
    expect((await pull(`${registry.host}/team/plain@${manifest.digest}`, store)).manifest.digest).toBe(manifest.digest);
    expect((await pull(`${registry.host}/team/many:1`, store)).manifest.digest).toBe(plain.descriptor.digest);
    expect((await pull(`${registry.host}/team/many:1`, store, { platform: arm })).manifest.digest).toBe(other.descriptor.digest);
    expect((await store.verify()).problems).toEqual([]);
    expect(readdirSync(store.paths.partial)).toEqual([]);
    // What another tool reads in our store is what was pushed.
    const inspected = spawnSync("skopeo", ["inspect", "--raw", `oci:${store.paths.images}:${registry.host}/team/plain:1`], {
      encoding: "utf8",
    });
    expect(JSON.parse(inspected.stdout)).toMatchObject({ layers: plain.layers.map(({ digest }) => ({ digest })) });
  }),
);

realTest("an image in Docker's own format", () =>
  withStore(async (store) => {
    const { layout, plain } = layoutWithImages();
    const registry = await dockerRegistry();
    await push(layout, "plain", { to: `${registry.host}/x`, more: ["--format", "v2s2"] });
    const { manifest } = await pull(`${registry.host}/x`, store);
    expect(manifest.mediaType).toBe("application/vnd.docker.distribution.manifest.v2+json");
    const image = await store.readImage(manifest, "test");
    expect(image.manifest.layers.map(({ digest }) => digest)).toEqual(plain.layers.map(({ digest }) => digest));
  }),
);

realTest("what is not there: the image, the tag", () =>
  withStore(async (store) => {
    const { layout } = layoutWithImages();
    const registry = await dockerRegistry();
    await push(layout, "plain", { to: `${registry.host}/x:stable` });
    expect(await failure(pull(`${registry.host}/nothing`, store))).toMatchObject({ code: "image-not-found", hint: null });
    expect(await failure(pull(`${registry.host}/x:stabel`, store))).toMatchObject({
      code: "image-not-found",
      hint: `there is ${registry.host}/x:stable`,
    });
    expect(await store.list()).toEqual([]);
  }),
);

realTest("a registry with accounts", () =>
  withStore(async (store) => {
    const { layout, plain } = layoutWithImages();
    const registry = await dockerRegistry({ account });
    const text = `${registry.host}/x`;
    await push(layout, "plain", { to: text, account });
    expect((await pull(text, store, { environment: login(registry.host, account) })).manifest.digest).toBe(plain.descriptor.digest);
    expect(await failure(pull(text, store))).toMatchObject({
      code: "registry-denied",
      hint: expect.stringContaining("there are no credentials"),
    });
    const wrong = login(registry.host, { ...account, password: "wrong" });
    expect(await failure(pull(text, store, { environment: wrong }))).toMatchObject({
      code: "registry-denied",
      hint: expect.stringContaining("auth.json were not accepted"),
    });
  }),
);

realTest("a registry with a token service: for an account, and for nobody", () =>
  withStore(async (store) => {
    const { layout, plain } = layoutWithImages();
    const tokens = await tokenService(account);
    const registry = await dockerRegistry({ tokens });
    const text = `${registry.host}/team/x`;
    await push(layout, "plain", { to: text, account });
    const before = tokens.asked.length;
    expect((await pull(text, store)).manifest.digest).toBe(plain.descriptor.digest);
    expect((await pull(text, store, { environment: login(registry.host, account) })).manifest.digest).toBe(plain.descriptor.digest);
    expect(tokens.asked.slice(before)).toEqual(["- repository:team/x:pull", "jane repository:team/x:pull"]);
    const wrong = login(registry.host, { ...account, password: "wrong" });
    const { message = "", hint } = (await failure(pull(text, store, { environment: wrong }))) ?? {};
    expect(message).toContain("status 401: incorrect username or password");
    expect(hint).toContain("were not accepted");
  }),
);

realTest("tokens that are said to live for a moment only are renewed", () =>
  withStore(async (store) => {
    const { layout, plain } = layoutWithImages();
    const lifetime: { lifetimeS?: number } = {};
    const tokens = await tokenService(account, lifetime);
    const registry = await dockerRegistry({ tokens });
    await push(layout, "plain", { to: `${registry.host}/x`, account });
    const before = tokens.asked.length;
    // Only now: Go programs read whole seconds.
    lifetime.lifetimeS = 0.001;
    expect((await pull(`${registry.host}/x`, store)).manifest.digest).toBe(plain.descriptor.digest);
    expect(tokens.asked.length - before).toBeGreaterThan(1);
  }),
);

realTest("several processes' worth of pulls at once fetch each layer once", async () => {
  const { layout, plain } = layoutWithImages();
  const registry = await dockerRegistry();
  await push(layout, "plain", { to: `${registry.host}/x` });
  const root = join(tempDir("store"), "belljar");
  const stores = await Promise.all(Array.from({ length: 4 }, () => openStore(root)));
  try {
    const results = await Promise.all(stores.map((store) => pull(`${registry.host}/x`, store)));
    expect(results.map(({ manifest }) => manifest.digest)).toEqual(Array.from({ length: 4 }, () => plain.descriptor.digest));
    for (const { digest } of plain.layers) expect(registry.log().split(`"GET /v2/x/blobs/${digest} `).length - 1).toBe(1);
  } finally {
    await Promise.all(stores.map((store) => store.close()));
  }
});
