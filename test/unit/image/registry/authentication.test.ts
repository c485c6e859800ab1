import { mkdirSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { tempDir } from "../../../helpers/places.ts";
import { type ScriptedRegistry, type Seen, scriptedRegistry, testImage } from "../../../helpers/registry.ts";
import { tryPull } from "./pulling.ts";

const image = testImage(["one", "two", "three"]);
const secret = "pässword:with€";
const basic = `Basic ${Buffer.from(`user:${secret}`).toString("base64")}`;

/** An environment whose home holds credentials for hosts. */
function loggedIn(entries: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const home = tempDir("home");
  mkdirSync(join(home, ".docker"));
  writeFileSync(join(home, ".docker/config.json"), JSON.stringify({ auths: entries }));
  return { HOME: home, PATH: "/usr/bin:/bin" };
}
const login = (host: string) => loggedIn({ [host]: { auth: Buffer.from(`user:${secret}`).toString("base64") } });

const refuse = (response: ServerResponse, challenge: string | readonly string[]): void => {
  response
    .writeHead(401, { "www-authenticate": challenge as string[] })
    .end('{"errors":[{"code":"UNAUTHORIZED","message":"log in first"}]}');
};
const json = (response: ServerResponse, value: unknown, status = 200): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
};

interface TokenRegistry extends ScriptedRegistry {
  /** Queries of the token service. */
  asks(): readonly Seen[];
}

/** A registry with a token service of its own at /token; `answer` gives the body for the n-th token "tN". */
async function tokenRegistry(
  options: {
    readonly answer?: (token: string, count: number) => unknown;
    readonly challenge?: (origin: string, path: string) => string | readonly string[];
    /** Whether a token still counts. */
    readonly isGood?: (token: string, request: Seen) => boolean;
  } = {},
): Promise<TokenRegistry> {
  const { answer = (token) => ({ token }), isGood = () => true } = options;
  let count = 0;
  const given = new Set<string>();
  const challenge = options.challenge ?? ((origin) => `Bearer realm="${origin}/token",service="a,b",scope="repository:x:pull"`);
  const registry = await scriptedRegistry({ latest: image }, (request, response, next) => {
    if (request.path.startsWith("/token")) {
      count++;
      given.add(`Bearer t${count}`);
      return json(response, answer(`t${count}`, count));
    }
    const { authorization = "" } = request.headers;
    if (given.has(authorization) && isGood(authorization.slice(7), request)) return next();
    return refuse(response, challenge(registry.origin, request.path));
  });
  return Object.assign(registry, {
    asks: () => registry.seen.filter(({ path }) => path.startsWith("/token")),
  });
}

describe("passwords", () => {
  const guarded = (challenge: string | readonly string[] = 'Basic realm="r"') =>
    scriptedRegistry({ latest: image }, (request, response, next) =>
      request.headers.authorization === basic ? next() : refuse(response, challenge),
    );

  test("are sent after they are asked for, as UTF-8", async () => {
    const registry = await guarded();
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(registry.host) });
    expect(error).toBeNull();
    expect(registry.seen[0]?.headers.authorization).toBeUndefined();
    expect(registry.seen.slice(1).every(({ headers }) => headers.authorization === basic)).toBe(true);
  });

  test.each([
    [["Negotiate", 'Basic realm="r"']],
    [["Negotiate abc==, basic realm=r"]],
    [['Digest nonce="x, Bearer realm=", Basic realm="r"']],
  ])("are sent for %j", async (challenge) => {
    const registry = await guarded(challenge);
    expect((await tryPull(`${registry.host}/x`, { environment: login(registry.host) })).error).toBeNull();
  });

  test("that are wrong are tried once, and never shown", async () => {
    const registry = await scriptedRegistry({}, (_request, response) => refuse(response, 'Basic realm="r"'));
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(registry.host) });
    expect(error).toMatchObject({
      code: "registry-denied",
      message: `pulling '${registry.host}/x:latest': ${registry.host}: access denied, or there is no such image: log in first`,
      hint: expect.stringMatching(/^the credentials from .*config\.json were not accepted$/),
    });
    expect(registry.seen).toHaveLength(2);
    expect(JSON.stringify([error, error?.stack, error?.cause])).not.toContain(secret);
  });

  test("that are missing are named", async () => {
    const registry = await guarded();
    const { error } = await tryPull(`${registry.host}/x`);
    expect(error).toMatchObject({ code: "registry-denied", hint: expect.stringContaining("docker login or podman login") });
    expect(registry.seen).toHaveLength(1);
  });

  test("of one host go to no other", async () => {
    const registry = await guarded();
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(`localhost:${registry.port}`) });
    expect(error?.code).toBe("registry-denied");
    expect(registry.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  test.each([
    ["Negotiate", "wants 'negotiate', which belljar cannot do"],
    ["Digest nonce=x, NTLM", "wants 'digest', 'ntlm', which belljar cannot do"],
    ["", "wants to know who asks, but not how"],
  ])("a challenge of %j is refused clearly", async (challenge, words) => {
    const registry = await scriptedRegistry({}, (_request, response) => refuse(response, challenge));
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(registry.host) });
    expect(error).toMatchObject({ code: "registry-denied", message: expect.stringContaining(words) });
    expect(registry.seen).toHaveLength(1);
  });

  test("a token that the user has is sent as it is", async () => {
    const registry = await scriptedRegistry({ latest: image }, (request, response, next) =>
      request.headers.authorization === "Bearer mine" ? next() : refuse(response, 'Bearer realm="http://nowhere.invalid/"'),
    );
    const environment = loggedIn({ [registry.host]: { registrytoken: "mine" } });
    expect((await tryPull(`${registry.host}/x`, { environment })).error).toBeNull();
  });
});

describe("token services", () => {
  test("anonymously: no password, one token for the whole pull, parameters as the challenge has them", async () => {
    const registry = await tokenRegistry();
    expect((await tryPull(`${registry.host}/x`)).error).toBeNull();
    expect(registry.asks()).toHaveLength(1);
    const [ask] = registry.asks();
    expect(new URL(`http://h${ask?.path}`).searchParams.get("service")).toBe("a,b");
    expect(new URL(`http://h${ask?.path}`).searchParams.getAll("scope")).toEqual(["repository:x:pull"]);
    expect(ask?.headers.authorization).toBeUndefined();
    expect(registry.asked().length).toBe(1 + 5);
  });

  test("with a password, which goes to the service and not to the registry", async () => {
    const registry = await tokenRegistry();
    expect((await tryPull(`${registry.host}/x`, { environment: login(registry.host) })).error).toBeNull();
    expect(registry.asks().map(({ headers }) => headers.authorization)).toEqual([basic]);
    const others = registry.seen.filter(({ path }) => path.startsWith("/v2/"));
    expect(others.some(({ headers }) => headers.authorization === basic)).toBe(false);
  });

  test("with an identity token, in the body of a request and nowhere else", async () => {
    const registry = await tokenRegistry({ answer: (token) => ({ access_token: token }) });
    const environment = loggedIn({ [registry.host]: { identitytoken: "re+fresh" } });
    expect((await tryPull(`${registry.host}/x`, { environment })).error).toBeNull();
    const [ask] = registry.asks();
    expect([ask?.method, ask?.path]).toEqual(["POST", "/token"]);
    expect(Object.fromEntries(new URLSearchParams(ask?.body))).toEqual({
      grant_type: "refresh_token",
      refresh_token: "re+fresh",
      client_id: "belljar",
      service: "a,b",
      scope: "repository:x:pull",
    });
  });

  test.each([
    [
      "the query of the realm is kept",
      (o: string) => `Bearer realm="${o}/token?keep=1",service=s,scope="repository:x:pull"`,
      { keep: "1", service: "s", scope: "repository:x:pull" },
    ],
    ["neither service nor scope", (o: string) => `Bearer realm="${o}/token"`, { scope: "repository:x:pull" }],
    [
      "another order, without quotes",
      (o: string) => `Bearer scope="repository:x:pull",service=s,realm="${o}/token"`,
      { service: "s", scope: "repository:x:pull" },
    ],
    ["lower case", (o: string) => `bearer REALM="${o}/token"`, { scope: "repository:x:pull" }],
    ["behind Basic", (o: string) => `Basic realm="r", Bearer realm="${o}/token"`, { scope: "repository:x:pull" }],
  ])("%s", async (_name, challenge, query) => {
    const registry = await tokenRegistry({ challenge });
    expect((await tryPull(`${registry.host}/x`)).error).toBeNull();
    expect(Object.fromEntries(new URL(`http://h${registry.asks()[0]?.path}`).searchParams)).toEqual(query);
  });

  test("a scope for each repository", async () => {
    const registry = await tokenRegistry({ challenge: (origin) => `Bearer realm="${origin}/token"` });
    for (const name of ["a/one", "b/two"]) expect((await tryPull(`${registry.host}/${name}`)).error).toBeNull();
    const scopes = registry.asks().map(({ path }) => new URL(`http://h${path}`).searchParams.get("scope"));
    expect(scopes).toEqual(["repository:a/one:pull", "repository:b/two:pull"]);
  });

  test.each([
    ["access_token alone", (token: string) => ({ access_token: token })],
    ["both", (token: string) => ({ token, access_token: "other" })],
    ["a time that is none", (token: string) => ({ token, issued_at: "yesterday", expires_in: "soon" })],
  ])("answering %s", async (_name, answer) => {
    const registry = await tokenRegistry({ answer });
    expect((await tryPull(`${registry.host}/x`)).error).toBeNull();
    expect(registry.asks()).toHaveLength(1);
  });

  test.each([
    ["no token", () => ({ token: "", expires_in: 60 }), "the answer holds no token"],
    ["a list", () => [], "the answer holds no token"],
    ["a token that splits headers", () => ({ token: "a\r\nX: y" }), "the token holds characters that no header can"],
    ["a token of two megabytes", () => ({ token: "x".repeat(2_000_000) }), "the answer is larger than 1048576 bytes"],
  ])("answering %s", async (_name, answer, words) => {
    const registry = await tokenRegistry({ answer });
    const { error } = await tryPull(`${registry.host}/x`);
    expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining(words) });
    expect(registry.asks()).toHaveLength(1);
  });

  test("answering a web page that holds a secret shows nothing of it", async () => {
    const registry = await scriptedRegistry({}, (request, response) =>
      request.path.startsWith("/token")
        ? response.writeHead(200, { "content-type": "text/html" }).end('{"token": "topsecret"')
        : refuse(response, `Bearer realm="${registry.origin}/token"`),
    );
    const { error } = await tryPull(`${registry.host}/x`);
    expect(error).toMatchObject({
      code: "registry-failed",
      message: `pulling '${registry.host}/x:latest': getting a token from ${registry.origin}/token: the answer is no JSON`,
    });
    expect(`${error?.stack} ${String(error?.cause)}`).not.toContain("topsecret");
  });

  test.each([
    [401, "registry-denied", 1],
    [403, "registry-denied", 1],
    [400, "registry-failed", 1],
    [503, "registry-failed", 5],
  ])("refusing with %d", async (status, code, asks) => {
    const registry = await scriptedRegistry({}, (request, response) =>
      request.path.startsWith("/token")
        ? json(response, { details: "no such user" }, status)
        : refuse(response, `Bearer realm="${registry.origin}/token"`),
    );
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(registry.host) });
    expect(error).toMatchObject({ code, message: expect.stringContaining(`status ${status}: no such user`) });
    expect(registry.seen.filter(({ path }) => path.startsWith("/token"))).toHaveLength(asks);
  });

  test("a token that runs out during the third layer is renewed once", async () => {
    let blobs = 0;
    const registry = await tokenRegistry({
      isGood: (token, { path }) => {
        if (path.includes("/blobs/")) blobs++;
        return token !== "t1" || blobs < 3;
      },
    });
    expect((await tryPull(`${registry.host}/x`, { limits: { parallel: 1 } })).error).toBeNull();
    expect(registry.asks()).toHaveLength(2);
  });

  test("several layers at a time that meet an old token get one new one", async () => {
    const registry = await tokenRegistry({ isGood: (token, { path }) => token !== "t1" || !path.includes("/blobs/") });
    expect((await tryPull(`${registry.host}/x`, { limits: { parallel: 4 } })).error).toBeNull();
    expect(registry.asks().length).toBe(2);
  });

  test("a token is renewed before it runs out, by its own time", async () => {
    const registry = await tokenRegistry({ answer: (token, count) => ({ token, expires_in: count === 1 ? 0.001 : 300 }) });
    expect((await tryPull(`${registry.host}/x`)).error).toBeNull();
    expect(registry.asks()).toHaveLength(2);
    expect(registry.seen.filter(({ headers }) => headers.authorization === "Bearer t1")).toHaveLength(1);
  });

  test("a registry that refuses its own service's tokens is asked twice, not for ever", async () => {
    const registry = await tokenRegistry({ isGood: () => false });
    const { error } = await tryPull(`${registry.host}/x`);
    expect(error).toMatchObject({
      code: "registry-denied",
      message: expect.stringContaining("access denied, or there is no such image: log in first"),
    });
    expect(registry.asks()).toHaveLength(1);
    expect(registry.asked()).toHaveLength(2);
  });
});

describe("realms that the registry may not name", () => {
  test.each([
    ["http://tokens.invalid/", "which is not encrypted"],
    ["file:///etc/passwd", "which is no web address"],
    ["http://169.254.169.254/latest/meta-data", "which is an address of this machine or its link"],
    ["https://169.254.169.254/latest/meta-data", "which is an address of this machine or its link"],
    ["https://[fe80::1]/", "which is an address of this machine or its link"],
    ["https://user:pw@tokens.invalid/", "which holds a user name or a password"],
    ["/token", "which is no address"],
    ["token", "which is no address"],
    ["", "its challenge names no realm"],
  ])("%j", async (realm, words) => {
    const registry = await scriptedRegistry({}, (_request, response) => refuse(response, `Bearer realm="${realm}"`));
    const { error } = await tryPull(`${registry.host}/x`, { environment: login(registry.host) });
    expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining(words) });
    expect(registry.seen).toHaveLength(1);
  });

  test("a service on another port of this machine is asked, and may not redirect the password away", async () => {
    const thief = await scriptedRegistry({}, (_request, response) => json(response, { token: "t" }));
    const service = await scriptedRegistry({}, (_request, response) => {
      response.writeHead(307, { location: `${thief.origin}/steal` }).end();
    });
    const registry = await scriptedRegistry({ latest: image }, (request, response, next) =>
      request.headers.authorization === "Bearer t" ? next() : refuse(response, `Bearer realm="${service.origin}/token"`),
    );
    expect((await tryPull(`${registry.host}/x`, { environment: login(registry.host) })).error).toBeNull();
    expect(service.seen.map(({ headers }) => headers.authorization)).toEqual([basic]);
    expect(thief.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test("an identity token is not carried along a redirect", async () => {
    const registry = await scriptedRegistry({}, (request, response) =>
      request.path === "/token"
        ? response.writeHead(307, { location: "/elsewhere" }).end()
        : refuse(response, `Bearer realm="${registry.origin}/token"`),
    );
    const environment = loggedIn({ [registry.host]: { identitytoken: "refresh" } });
    const { error } = await tryPull(`${registry.host}/x`, { environment });
    expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining("redirects a request for a token") });
    expect(registry.seen.some(({ path }) => path === "/elsewhere")).toBe(false);
  });
});

test("a layer that is kept elsewhere is not fetched from there, and its server learns nothing", async () => {
  const elsewhere = await scriptedRegistry({}, (_request, response) => refuse(response, 'Basic realm="r"'));
  const foreign = testImage(["foreign"], {
    layer: { mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls: [`${elsewhere.origin}/layer`] },
  });
  const missing = foreign.layers[0]?.digest ?? "";
  const registry = await scriptedRegistry({ latest: foreign }, (request, response, next) =>
    request.path.includes(missing) ? response.writeHead(404).end() : next(),
  );
  const { error } = await tryPull(`${registry.host}/x`, { environment: { ...login(registry.host) } });
  expect(error).toMatchObject({
    code: "image-invalid",
    message: expect.stringContaining("is a foreign layer, which its publisher keeps elsewhere"),
  });
  expect(elsewhere.seen).toEqual([]);
});
