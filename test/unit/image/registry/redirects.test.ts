import { mkdirSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { tempDir } from "../../../helpers/places.ts";
import { type Seen, scriptedRegistry, testImage } from "../../../helpers/registry.ts";
import { tryPull } from "./pulling.ts";

const image = testImage(["one", "two"]);
const basic = `Basic ${Buffer.from("user:secret").toString("base64")}`;

function login(host: string): Readonly<Record<string, string>> {
  const home = tempDir("home");
  mkdirSync(join(home, ".docker"));
  writeFileSync(
    join(home, ".docker/config.json"),
    JSON.stringify({ auths: { [host]: { auth: Buffer.from("user:secret").toString("base64") } } }),
  );
  return { HOME: home, PATH: "/usr/bin:/bin" };
}
const go = (response: ServerResponse, location: string, status = 307) => response.writeHead(status, { location }).end("moved");
const isBlob = ({ path }: Seen) => path.includes("/blobs/");

/** A registry that wants a password and keeps its blobs elsewhere: `where` says where. */
const redirecting = (where: (path: string, request: Seen) => string, status = 307) =>
  scriptedRegistry({ latest: image }, (request, response, next) => {
    if (request.headers.authorization !== basic) response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
    else if (isBlob(request)) go(response, where(request.path, request), status);
    else next();
  });

/** An object store: whoever sends it a credential is refused. */
const objectStore = () =>
  scriptedRegistry({ latest: image }, (request, response, next) =>
    request.headers.authorization === undefined ? next() : response.writeHead(400).end("Only one auth mechanism allowed"),
  );

describe("blobs that are kept elsewhere", () => {
  test.each([301, 302, 303, 307, 308])("are fetched there after %d, without the credential", async (status) => {
    const store = await objectStore();
    const registry = await redirecting((path) => `${store.origin}${path}?X-Signature=s`, status);
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(registry.host) });
    expect(error).toBeNull();
    expect(store.seen).toHaveLength(3);
    expect(store.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  test("at the same origin are fetched with the credential, by a relative address too", async () => {
    const registry = await scriptedRegistry({ latest: image }, (request, response, next) => {
      if (request.headers.authorization !== basic) response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      else if (isBlob(request) && !request.path.includes("moved")) go(response, request.path.replace("/v2/x/", "/v2/x/moved/"));
      else next();
    });
    expect((await tryPull(`${registry.host}/x`, { environment: login(registry.host) })).error).toBeNull();
  });

  test("by way of three servers; the credential does not come back on the way back", async () => {
    const origins: string[] = [];
    const second = await scriptedRegistry({}, (request, response) => go(response, `${origins[0]}/back${request.path}`));
    const first = await scriptedRegistry({}, (request, response) => go(response, `${second.origin}${request.path}`));
    const registry = await scriptedRegistry({ latest: image }, (request, response, next) => {
      if (request.path.startsWith("/back/")) {
        const bytes = [...image.blobs].find(([digest]) => request.path.endsWith(digest))?.[1];
        response.end(bytes);
      } else if (request.headers.authorization !== basic) response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      else if (isBlob(request)) go(response, `${first.origin}${request.path}`);
      else next();
    });
    origins.push(registry.origin);
    expect((await tryPull(`${registry.host}/x`, { environment: login(registry.host) })).error).toBeNull();
    const back = registry.seen.filter(({ path }) => path.startsWith("/back/"));
    expect(back).toHaveLength(3);
    for (const { headers } of [...back, ...first.seen, ...second.seen]) expect(headers.authorization).toBeUndefined();
  });

  test("a challenge from there gets no answer", async () => {
    const store = await scriptedRegistry({}, (_request, response) =>
      response.writeHead(401, { "www-authenticate": `Bearer realm="${store.origin}/token"` }).end(),
    );
    const registry = await redirecting((path) => `${store.origin}${path}`);
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(registry.host), limits: { parallel: 1 } });
    expect(error).toMatchObject({
      code: "registry-failed",
      message: `pulling '${registry.host}/x:latest': ${registry.host}: status 401 from ${store.host}`,
    });
    expect(store.seen.map(({ path }) => path.replace(/\/v2.*/, "blob"))).toEqual(["blob"]);
  });
});

describe("redirects that are not followed", () => {
  test("in a circle", async () => {
    const registry = await redirecting((path) => path);
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(registry.host), limits: { parallel: 1 } });
    expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining("redirects more than 8 times") });
    expect(registry.seen.filter(isBlob)).toHaveLength(9);
  });

  test.each([
    ["http://169.254.169.254/latest", "which is an address of this machine or its link"],
    ["http://[::ffff:169.254.169.254]/", "which is an address of this machine or its link"],
    ["http://elsewhere.invalid/blob?signature=s3cret", "'http://elsewhere.invalid/blob', which is not encrypted"],
    ["file:///etc/passwd", "which is no web address"],
    ["https://user:s3cret@elsewhere.invalid/", "'https://elsewhere.invalid/', which holds a user name or a password"],
    ["http://", "which is no address"],
  ])("to %s", async (location, words) => {
    const registry = await redirecting(() => location);
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(registry.host), limits: { parallel: 1 } });
    expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining(words) });
    expect(error?.message).not.toContain("s3cret");
    expect(registry.seen.filter(isBlob)).toHaveLength(1);
  });

  test("to nowhere", async () => {
    const registry = await scriptedRegistry({}, (_request, response) => response.writeHead(302).end());
    const { error } = await tryPull(`${registry.host}/x`);
    expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining("answers 302 without saying where to go") });
  });
});

/** A proxy that plays another machine: "registry.invalid", over plain HTTP because the configuration asks for it. */
describe("a registry on another machine", () => {
  const elsewhere = { registries: { "registry.invalid": { transport: "http" } } } as const;
  const pathOf = ({ path }: Seen) => path.replace(/^http:\/\/registry\.invalid(?=\/)/, "");
  const proxied = (answer: (request: Seen, response: ServerResponse) => void) =>
    scriptedRegistry({}, (request, response) => answer({ ...request, path: pathOf(request) }, response));

  test("is asked through the proxy, by its whole address", async () => {
    const seen: Seen[] = [];
    const proxy = await scriptedRegistry({ latest: image }, (request, _response, next) => {
      seen.push({ ...request });
      Object.assign(request, { path: pathOf(request) });
      next();
    });
    const environment = { http_proxy: `http://who:p%20w@${proxy.host}` };
    expect((await tryPull("registry.invalid/x", { environment, config: elsewhere })).error).toBeNull();
    expect(proxy.seen).toHaveLength(4);
    for (const { path, headers } of seen) {
      expect(path).toMatch(/^http:\/\/registry\.invalid\/v2\//);
      expect(headers.host).toBe("registry.invalid");
      expect(headers["proxy-authorization"]).toBe(`Basic ${Buffer.from("who:p w").toString("base64")}`);
    }
  });

  test("a proxy that wants a password is named", async () => {
    const proxy = await scriptedRegistry({}, (_request, response) => response.writeHead(407).end());
    const environment = { http_proxy: proxy.origin };
    const { error } = await tryPull("registry.invalid/x", { environment, config: elsewhere });
    expect(error).toMatchObject({
      code: "registry-failed",
      message: "pulling 'registry.invalid/x:latest': registry.invalid: the proxy refuses: status 407",
    });
    const tls = await tryPull("registry.invalid/x", { environment: { https_proxy: proxy.origin } });
    expect(tls.error).toMatchObject({ code: "registry-failed" });
  });

  test.each([
    "http://127.0.0.1:1/",
    "http://localhost:1/",
    "https://[::1]:1/",
    "http://0.0.0.0:1/",
    "https://127.1:1/",
    "https://2130706433/",
    "https://x.localhost/",
    "https://localhost./",
  ])("may not send us to %s", async (location) => {
    const proxy = await proxied((_request, response) => go(response, location));
    const environment = { HTTP_PROXY: proxy.origin };
    const { error } = await tryPull("registry.invalid/x", { environment, config: elsewhere });
    expect(error).toMatchObject({
      code: "registry-failed",
      message: expect.stringContaining("which is an address of this machine or its link"),
    });
    const asking = await proxied((_request, response) =>
      response.writeHead(401, { "www-authenticate": `Bearer realm="${location}"` }).end(),
    );
    const { error: realm } = await tryPull("registry.invalid/x", { environment: { HTTP_PROXY: asking.origin }, config: elsewhere });
    expect(realm).toMatchObject({
      code: "registry-failed",
      message: expect.stringContaining("which is an address of this machine or its link"),
    });
  });

  test("gets no password over plain HTTP", async () => {
    const proxy = await proxied((_request, response) => response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end());
    const environment = { ...login("registry.invalid"), HTTP_PROXY: proxy.origin };
    const { error } = await tryPull("registry.invalid/x", { environment, config: elsewhere });
    expect(error).toMatchObject({ code: "registry-denied", hint: "credentials are sent over HTTPS only, see docs/registry.md" });
    expect(proxy.seen).toHaveLength(1);
    expect(proxy.seen[0]?.headers.authorization).toBeUndefined();
  });

  test("is not spoken to in plain HTTP unasked", async () => {
    const proxy = await proxied((_request, response) => response.end());
    const environment = { HTTP_PROXY: proxy.origin, HTTPS_PROXY: proxy.origin };
    for (const domain of ["registry.invalid", "localhost.evil.invalid", "127.0.0.1.nip.invalid"])
      expect((await tryPull(`${domain}/x`, { environment, limits: { attempts: 1 } })).error).toMatchObject({ code: "registry-failed" });
    // An ordinary request would have been seen; a tunnel is refused by this proxy.
    expect(proxy.seen).toEqual([]);
  });
});
