import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { authFiles, type Credentials, findCredentials } from "../../../../cli/image/credentials.ts";
import { BelljarError } from "../../../../policy/errors.ts";
import { tempDir } from "../../../helpers/places.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const secret = "s3cr3t-word";

/** A home with these files and helpers, and what is found for a place there. */
function homeWith(files: Readonly<Record<string, unknown>>, helpers: Readonly<Record<string, string>> = {}) {
  const home = tempDir("home");
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(home, name)), { recursive: true });
    writeFileSync(join(home, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  mkdirSync(join(home, "bin"));
  for (const [name, script] of Object.entries(helpers)) {
    writeFileSync(join(home, "bin", `docker-credential-${name}`), `#!/bin/sh\n${script}\n`);
    chmodSync(join(home, "bin", `docker-credential-${name}`), 0o755);
  }
  const environment = { HOME: home, XDG_RUNTIME_DIR: join(home, "run"), PATH: `${join(home, "bin")}:/usr/bin:/bin` };
  const warnings: string[] = [];
  const find = (domain: string, path = "owner/name", more: Readonly<Record<string, string>> = {}): Promise<Credentials | null> =>
    findCredentials({ domain, path }, { environment: { ...environment, ...more }, warn: (message) => warnings.push(message) });
  return { home, find, warnings };
}

const passwordOf = async (found: Promise<Credentials | null>): Promise<string | null> => {
  const credentials = await found;
  return credentials?.kind === "password" ? `${credentials.username}:${credentials.password}` : null;
};
const entry = (text: string) => ({ auth: base64(text) });

describe("where credentials are looked for", () => {
  test("in order", () => {
    expect(authFiles({ HOME: "/h", XDG_RUNTIME_DIR: "/r" })).toEqual([
      "/h/.config/belljar/auth.json",
      "/r/containers/auth.json",
      "/h/.config/containers/auth.json",
      "/h/.docker/config.json",
    ]);
    expect(authFiles({ HOME: "/h", XDG_CONFIG_HOME: "/c", DOCKER_CONFIG: "/d", REGISTRY_AUTH_FILE: "/f" })).toEqual([
      "/c/belljar/auth.json",
      "/f",
      "/c/containers/auth.json",
      "/d/config.json",
    ]);
    expect(authFiles({ HOME: "relative", XDG_RUNTIME_DIR: "r", DOCKER_CONFIG: "d", REGISTRY_AUTH_FILE: "f" })).toEqual([]);
  });

  test("the first file that has some counts; a file without them does not", async () => {
    const { find } = homeWith({
      ".config/belljar/auth.json": { auths: { "other.example": entry("no:no") } },
      "run/containers/auth.json": { auths: { "r.example": entry("podman:1") } },
      ".docker/config.json": { auths: { "r.example": entry("docker:2"), "d.example": entry("docker:3") } },
    });
    expect(await passwordOf(find("r.example"))).toBe("podman:1");
    expect(await passwordOf(find("d.example"))).toBe("docker:3");
    expect(await find("unknown.example")).toBeNull();
  });

  test("without any file there are none", async () => {
    expect(await homeWith({}).find("r.example")).toBeNull();
    expect(await homeWith({ ".docker/config.json": "" }).find("r.example")).toBeNull();
  });
});

describe("what stands in a file", () => {
  const docker = (content: unknown) => homeWith({ ".docker/config.json": content }).find;

  test.each([
    ["https://index.docker.io/v1/", "docker.io"],
    ["index.docker.io", "docker.io"],
    ["docker.io", "docker.io"],
    ["registry-1.docker.io", "docker.io"],
    ["https://r.example/v2/", "r.example"],
    ["http://r.example:5000", "r.example:5000"],
    ["r.example/", "r.example"],
  ])("key %s is for %s", async (key, domain) => {
    expect(await passwordOf(docker({ auths: { [key]: entry("u:p") } })(domain))).toBe("u:p");
  });

  test("a key is for its host alone", async () => {
    const find = docker({ auths: { "r.example": entry("u:p"), "https://index.docker.io/v1/": entry("u:p") } });
    for (const domain of ["r.example:5000", "evil.r.example", "r.example.evil.test", "xr.example"]) expect(await find(domain)).toBeNull();
  });

  test("the longest path wins, and covers what is below it only", async () => {
    const find = docker({ auths: { "r.example": entry("host:1"), "r.example/a": entry("a:2"), "r.example/a/b": entry("b:3") } });
    expect(await passwordOf(find("r.example", "a/b/c"))).toBe("b:3");
    expect(await passwordOf(find("r.example", "a/x"))).toBe("a:2");
    expect(await passwordOf(find("r.example", "ab"))).toBe("host:1");
  });

  test("passwords keep colons, and are UTF-8", async () => {
    const find = docker({ auths: { "r.example": entry("jürgen:a:b:ü€"), "s.example": { username: "u", password: "p:q" } } });
    expect(await passwordOf(find("r.example"))).toBe("jürgen:a:b:ü€");
    expect(await passwordOf(find("s.example"))).toBe("u:p:q");
  });

  test("tokens", async () => {
    const find = docker({
      auths: { "i.example": { ...entry("<token>:"), identitytoken: "refresh" }, "t.example": { registrytoken: "bearer" } },
    });
    expect(await find("i.example")).toMatchObject({ kind: "identity-token", token: "refresh" });
    expect(await find("t.example")).toMatchObject({ kind: "registry-token", token: "bearer" });
  });

  test("entries that hold nothing are no credentials", async () => {
    const find = docker({ auths: { "r.example": {}, "s.example": null, "t.example": 7 } });
    for (const domain of ["r.example", "s.example", "t.example"]) expect(await find(domain)).toBeNull();
    expect(await docker({ auths: [] })("r.example")).toBeNull();
  });

  test.each([
    [`{"auths": {"r.example": {"auth": "${secret}`, "is no JSON"],
    [`["${secret}"]`, "must be an object"],
    [{ auths: { "r.example": { auth: base64(secret) } } }, "auths: the value for 'r.example' is no base64 of \"user:password\""],
    [{ auths: { "r.example": { auth: base64(`:${secret}`) } } }, "auths: the value for 'r.example' is no base64 of \"user:password\""],
    [{ auths: { "r.example": { username: "a:b", password: secret } } }, "a user name holds a colon, which HTTP cannot send"],
    [{ auths: { "r.example": entry(`u:${secret}\r\nX: y`) } }, "a user name or a password holds a control character"],
    [`{"x":"${"x".repeat(1024 * 1024)}"}`, "is larger than 1048576 bytes"],
  ])("a file that is wrong (%#) is named, and nothing in it is shown", async (content, reason) => {
    const error = await docker(content)("r.example").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BelljarError);
    const { code, message, stack, cause } = error as BelljarError;
    expect(code).toBe("config-invalid");
    expect(message).toMatch(/^reading credentials: '.*\/\.docker\/config\.json': /);
    expect(message.endsWith(reason)).toBe(true);
    expect(`${stack} ${String((cause as Error | undefined)?.stack)}`).not.toContain(secret);
  });

  test("a folder is no file", async () => {
    const { home, find } = homeWith({});
    mkdirSync(join(home, ".docker/config.json"), { recursive: true });
    await expect(find("r.example")).rejects.toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining("is no regular file"),
    });
  });
});

describe("credential helpers", () => {
  const answers = `echo "$@" > "$HOME/args"; cat > "$HOME/asked"; printf '{"ServerURL":"x","Username":"u","Secret":"${secret}"}'`;

  test("one for a host, asked by stdin so that nothing shows in the list of processes", async () => {
    const { home, find, warnings } = homeWith({ ".docker/config.json": { credHelpers: { "r.example": "own" } } }, { own: answers });
    expect(await passwordOf(find("r.example"))).toBe(`u:${secret}`);
    expect(readFileSync(join(home, "asked"), "utf8")).toBe("r.example");
    expect(readFileSync(join(home, "args"), "utf8")).toBe("get\n");
    expect(warnings).toEqual([]);
    expect(await find("other.example")).toBeNull();
  });

  test("one for all; Docker Hub goes by its old address", async () => {
    const { home, find } = homeWith({ ".docker/config.json": { credsStore: "all" } }, { all: answers });
    expect(await passwordOf(find("docker.io"))).toBe(`u:${secret}`);
    expect(readFileSync(join(home, "asked"), "utf8")).toBe("https://index.docker.io/v1/");
  });

  test("an identity token", async () => {
    const { find } = homeWith({ ".docker/config.json": { credsStore: "t" } }, { t: `printf '{"Username":"<token>","Secret":"refresh"}'` });
    expect(await find("r.example")).toMatchObject({ kind: "identity-token", token: "refresh" });
  });

  test("one that knows nothing leaves the word to the file, then to the next file", async () => {
    const none = "echo 'credentials not found in native keychain'; exit 1";
    const { find, warnings } = homeWith(
      {
        ".docker/config.json": { credsStore: "none", auths: { "r.example": entry("file:1"), "s.example": {} } },
        ".config/containers/auth.json": { auths: { "s.example": entry("podman:2") } },
      },
      { none },
    );
    expect(await passwordOf(find("r.example"))).toBe("file:1");
    expect(await passwordOf(find("s.example"))).toBe("podman:2");
    expect(warnings).toEqual([]);
  });

  test.each([
    ["missing", "", "no such file or directory"],
    ["broken", `echo '${secret}' >&2; exit 3`, "ended with status 3"],
    ["silly", `echo '${secret}'`, "printed no JSON object"],
    ["flood", "exec yes", "printed more than 65536 bytes"],
    ["flood2", "yes", "printed more than 65536 bytes"],
    ["killed", "kill -9 $$", "was ended by SIGKILL"],
    ["../../evil", "", "has an impossible name"],
    ["a b;c", "", "has an impossible name"],
  ])("one that is %s is warned about, and is not the end", async (name, script, reason) => {
    const helpers: Readonly<Record<string, string>> = script === "" ? {} : { [name]: script };
    const { find, warnings } = homeWith({ ".docker/config.json": { credsStore: name } }, helpers);
    expect(await find("r.example")).toBeNull();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(reason);
    expect(warnings[0]).not.toContain(secret);
  });

  test("one that leaves something behind that holds its output is not waited for", async () => {
    const daemon = `(sleep 30 & echo $! > "$HOME/pid") ; ${answers}`;
    const { home, find } = homeWith({ ".docker/config.json": { credsStore: "daemon" } }, { daemon });
    const start = performance.now();
    expect(await passwordOf(find("r.example"))).toBe(`u:${secret}`);
    expect(performance.now() - start).toBeLessThan(5000);
    process.kill(Number(readFileSync(join(home, "pid"), "utf8")), "SIGKILL");
  });

  test("cancelling ends one that waits", async () => {
    const { home } = homeWith({ ".docker/config.json": { credsStore: "slow" } }, { slow: "exec sleep 30" });
    const environment = { HOME: home, PATH: `${join(home, "bin")}:/usr/bin:/bin` };
    const found = findCredentials(
      { domain: "r.example", path: "x" },
      { environment, warn: () => undefined, signal: AbortSignal.timeout(50) },
    );
    await expect(found).rejects.toThrow("was cancelled");
  });
});
