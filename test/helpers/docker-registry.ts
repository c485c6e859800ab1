import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createPrivateKey, randomUUID, sign } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import { until } from "./deadline.ts";
import { tempDir } from "./places.ts";
import type { TestImage } from "./registry.ts";

/** Debian's docker-registry on loopback. */
export interface DockerRegistry {
  /** "127.0.0.1:1234" */
  readonly host: string;
  /** What it has written so far. */
  readonly log: () => string;
}

export interface Account {
  readonly username: string;
  readonly password: string;
}

export interface TokenService {
  readonly realm: string;
  readonly issuer: string;
  /** File of the certificate that its tokens are signed with. */
  readonly certificate: string;
  /** One for each token that was asked for: "user repository:x:pull", "- …" for nobody. */
  readonly asked: readonly string[];
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Runs a program to its end, without stopping what this process serves meanwhile. */
async function checked(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { timeout: 60_000 });
  return stdout;
}

function configuration(dir: string, port: number, auth: string): string {
  return `version: 0.1
log: { level: info, accesslog: { disabled: false } }
storage: { filesystem: { rootdirectory: ${dir}/data } }
http: { addr: "127.0.0.1:${port}", secret: x }
${auth}`;
}

/** Starts a registry that ends with the test: open, with accounts, or with a token service. */
export async function dockerRegistry(
  options: { readonly account?: Account; readonly tokens?: TokenService } = {},
): Promise<DockerRegistry> {
  const { account, tokens } = options;
  const dir = tempDir("registry");
  let auth = "";
  if (account !== undefined) {
    writeFileSync(join(dir, "htpasswd"), await checked("htpasswd", ["-nbB", account.username, account.password]));
    auth = `auth: { htpasswd: { realm: test, path: ${dir}/htpasswd } }\n`;
  }
  if (tokens !== undefined) {
    const { realm, issuer, certificate } = tokens;
    auth = `auth: { token: { realm: "${realm}", service: "test registry", issuer: "${issuer}", rootcertbundle: ${certificate} } }\n`;
  }
  for (let attempt = 1; ; attempt++) {
    const started = await startRegistry(dir, auth);
    if (typeof started !== "string") return started;
    // The port was free, and somebody else was faster.
    if (attempt === 5 || !started.includes("address already in use")) throw new Error(`docker-registry: ${started}`);
  }
}

/** What it wrote, when it did not start. */
async function startRegistry(dir: string, auth: string): Promise<DockerRegistry | string> {
  const port = await freePort();
  writeFileSync(join(dir, "config.yml"), configuration(dir, port, auth));
  const child: ChildProcess = spawn("docker-registry", ["serve", join(dir, "config.yml")], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
  }
  const ended = new Promise((resolve) => child.once("close", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  // Much of the machine may be busy with other tests.
  await until(() => log.includes("listening on") || child.exitCode !== null, { what: "docker-registry", timeoutMs: 40_000 });
  if (child.exitCode === null) return { host: `127.0.0.1:${port}`, log: () => log };
  await ended;
  return log;
}

const base64url = (value: unknown): string => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** A token service as the distribution project specifies it: whoever asks may pull, and the account may push too. */
export async function tokenService(account: Account, options: { lifetimeS?: number } = {}): Promise<TokenService> {
  const dir = tempDir("tokens");
  const [key, certificate] = [join(dir, "key.pem"), join(dir, "cert.pem")];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=tokens"];
  await checked("openssl", ["req", "-x509", ...kind, "-keyout", key, "-out", certificate]);
  const privateKey = createPrivateKey(readFileSync(key));
  const x5c = [readFileSync(certificate, "utf8").replace(/-----[A-Z ]+-----|\s/g, "")];
  const issuer = "test issuer";
  const asked: string[] = [];
  const basic = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString("base64")}`;
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? "", "http://h").searchParams;
    const isKnown = request.headers.authorization === basic;
    asked.push(`${isKnown ? account.username : "-"} ${query.getAll("scope").join(" ")}`);
    if (request.headers.authorization !== undefined && !isKnown) {
      response.writeHead(401).end('{"details":"incorrect username or password"}');
      return;
    }
    const access = query.getAll("scope").flatMap((scope) => {
      const [type, name, actions = ""] = scope.split(":");
      return [{ type, name, actions: actions.split(",").filter((action) => isKnown || action === "pull") }];
    });
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer, sub: "", aud: query.get("service"), exp: now + 300, nbf: now - 10, iat: now, jti: randomUUID(), access };
    const text = `${base64url({ typ: "JWT", alg: "ES256", x5c })}.${base64url(claims)}`;
    const signature = sign("sha256", Buffer.from(text), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url");
    response.end(JSON.stringify({ token: `${text}.${signature}`, expires_in: options.lifetimeS ?? 300 }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, issuer, certificate, asked };
}

/** Writes images as an OCI layout, each under its name. */
export function writeLayout(dir: string, images: Readonly<Record<string, TestImage>>): void {
  mkdirSync(join(dir, "blobs/sha256"), { recursive: true });
  for (const { blobs } of Object.values(images))
    for (const [digest, bytes] of blobs) writeFileSync(join(dir, "blobs", digest.replace(":", "/")), bytes);
  const manifests = Object.entries(images).map(([name, { descriptor }]) => ({
    ...descriptor,
    annotations: { "org.opencontainers.image.ref.name": name },
  }));
  writeFileSync(join(dir, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(dir, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
}

/** Puts an image of a layout into a registry, with skopeo. */
export async function push(
  layout: string,
  name: string,
  options: { readonly to: string; readonly account?: Account; readonly more?: readonly string[] },
): Promise<void> {
  const { to, account, more = [] } = options;
  const credentials = account === undefined ? [] : ["--dest-creds", `${account.username}:${account.password}`];
  const args = ["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", ...credentials, ...more];
  await checked("skopeo", [...args, `oci:${layout}:${name}`, `docker://${to}`]);
}
