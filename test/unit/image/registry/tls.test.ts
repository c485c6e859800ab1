import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished } from "vitest";
import { needs, whyMissing } from "../../../helpers/abilities.ts";
import { makeTempDir } from "../../../helpers/places.ts";
import { scriptedRegistry, testImage } from "../../../helpers/registry.ts";
import { tryPull } from "./pulling.ts";

const image = testImage(["one", "two"]);
let certificate = { key: "", cert: "", file: "" };

/** Certificates are made by openssl. */
const tlsTest = needs("openssl");

beforeAll(() => {
  if (whyMissing("openssl") !== null) return;
  const dir = makeTempDir("tls");
  const file = join(dir, "cert.pem");
  const names = "subjectAltName=DNS:registry.invalid,DNS:localhost,IP:127.0.0.1";
  const made = spawnSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=test",
      "-addext",
      names,
      "-keyout",
      join(dir, "key.pem"),
      "-out",
      file,
    ],
    { encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(`openssl: ${made.error?.message ?? made.stderr}`);
  certificate = { key: readFileSync(join(dir, "key.pem"), "utf8"), cert: readFileSync(file, "utf8"), file };
});

const overTls = (address?: string) => scriptedRegistry({ latest: image }, undefined, { tls: certificate, ...(address ? { address } : {}) });

describe("a registry on this machine", () => {
  tlsTest("that speaks TLS is never spoken to without", async () => {
    const registry = await overTls();
    const { error } = await tryPull(`${registry.host}/x`);
    expect(error).toMatchObject({
      code: "registry-failed",
      message: `pulling '${registry.host}/x:latest': ${registry.host}: its certificate is signed by itself`,
      hint: expect.stringContaining(`registries."${registry.host}".certificateAuthority`),
    });
    expect(registry.seen).toEqual([]);
  });

  tlsTest("is trusted by the authority that the configuration names, and for its own host only", async () => {
    const registry = await overTls();
    const config = { registries: { [registry.host]: { certificateAuthority: certificate.file } } };
    expect((await tryPull(`${registry.host}/x`, { config })).error).toBeNull();
    const other = await overTls();
    expect((await tryPull(`${other.host}/x`, { config })).error?.code).toBe("registry-failed");
  });

  tlsTest("whose certificate is for another name is refused, unless nobody looks at it", async () => {
    const registry = await overTls("127.0.0.2");
    const settings = { certificateAuthority: certificate.file };
    const { error } = await tryPull(`${registry.host}/x`, { config: { registries: { [registry.host]: settings } } });
    expect(error?.message).toContain("its certificate is for another host");
    const unverified = { registries: { [registry.host]: { transport: "https-unverified" } } } as const;
    expect((await tryPull(`${registry.host}/x`, { config: unverified })).error).toBeNull();
  });

  for (const address of ["127.0.0.1", "::1"])
    tlsTest(`at ${address} that speaks no TLS is spoken to without`, async () => {
      const registry = await scriptedRegistry({ latest: image }, undefined, { address });
      expect((await tryPull(`${registry.host}/x`)).error).toBeNull();
      const strict = { registries: { [registry.host]: { transport: "https" } } } as const;
      expect((await tryPull(`${registry.host}/x`, { config: strict })).error?.code).toBe("registry-failed");
    });

  tlsTest("by its name", async () => {
    const registry = await scriptedRegistry({ latest: image });
    expect((await tryPull(`localhost:${registry.port}/x`)).error).toBeNull();
    expect(registry.seen[0]?.headers.host).toBe(`localhost:${registry.port}`);
  });

  tlsTest("may lead from plain HTTP to TLS, and not back", async () => {
    const store = await overTls();
    const registry = await scriptedRegistry({ latest: image }, (request, response, next) =>
      request.path.includes("/blobs/") ? response.writeHead(307, { location: `${store.origin}${request.path}` }).end() : next(),
    );
    const config = { registries: { [store.host]: { certificateAuthority: certificate.file } } };
    expect((await tryPull(`${registry.host}/x`, { config })).error).toBeNull();
    // Its redirects stay what they are: a store that nobody can verify is not asked in plain text instead.
    expect((await tryPull(`${registry.host}/x`)).error?.message).toContain("its certificate is signed by itself");
    const back = await scriptedRegistry(
      {},
      (request, response) => response.writeHead(307, { location: `${registry.origin}${request.path}` }).end(),
      {
        tls: certificate,
      },
    );
    const { error } = await tryPull(`${back.host}/x`, {
      config: { registries: { [back.host]: { certificateAuthority: certificate.file } } },
    });
    expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining("which is not encrypted") });
  });

  tlsTest("a file of authorities that is not there is named", async () => {
    const config = { registries: { "127.0.0.1:1": { certificateAuthority: "/nonexistent/ca.pem" } } };
    expect((await tryPull("127.0.0.1:1/x", { config })).error).toMatchObject({
      code: "config-invalid",
      message: "reading the certificates of a registry: '/nonexistent/ca.pem': no such file or directory",
    });
  });
});

describe("through a tunnel", () => {
  /** A proxy that leads "registry.invalid:443" to a port of this machine, or answers with a status. */
  async function tunnelling(port: number, status = 200) {
    const asked: string[] = [];
    const headers: (string | undefined)[] = [];
    const sockets = new Set<Socket>();
    const server = createServer((_request, response) => response.writeHead(500).end());
    server.on("connect", (request, client: Socket) => {
      asked.push(request.url ?? "");
      headers.push(request.headers["proxy-authorization"]);
      sockets.add(client);
      client.on("error", () => undefined);
      if (status !== 200) return client.end(`HTTP/1.1 ${status} No\r\n\r\n`);
      const upstream = connect(port, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 OK\r\n\r\n");
        client.pipe(upstream).pipe(client);
      });
      upstream.on("error", () => client.destroy());
      return sockets.add(upstream);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return { host: `127.0.0.1:${(server.address() as { readonly port: number }).port}`, asked, headers };
  }
  const trusting = () => ({ registries: { "registry.invalid": { certificateAuthority: certificate.file } } });

  tlsTest("TLS is spoken with the registry itself", async () => {
    const registry = await overTls();
    const proxy = await tunnelling(registry.port);
    const environment = { HTTPS_PROXY: `http://who:w%40rd@${proxy.host}` };
    expect((await tryPull("registry.invalid/x", { environment, config: trusting() })).error).toBeNull();
    expect(new Set(proxy.asked)).toEqual(new Set(["registry.invalid:443"]));
    expect(new Set(proxy.headers)).toEqual(new Set([`Basic ${Buffer.from("who:w@rd").toString("base64")}`]));
    expect(registry.seen.every(({ headers }) => headers["proxy-authorization"] === undefined && headers.host === "registry.invalid")).toBe(
      true,
    );
    const untrusting = await tryPull("registry.invalid/x", { environment });
    expect(untrusting.error?.message).toContain("its certificate is signed by itself");
  });

  for (const status of [403, 407, 502])
    tlsTest(`a proxy that refuses with ${status} is named`, async () => {
      const proxy = await tunnelling(1, status);
      const { error } = await tryPull("registry.invalid/x", { environment: { HTTPS_PROXY: proxy.host }, config: trusting() });
      expect(error).toMatchObject({
        code: "registry-failed",
        message: `pulling 'registry.invalid/x:latest': registry.invalid: the proxy refuses: status ${status}`,
      });
      expect(proxy.asked).toHaveLength(1);
    });

  tlsTest("a proxy that is not there is an error at once", async () => {
    const { error } = await tryPull("registry.invalid/x", { environment: { HTTPS_PROXY: "http://127.0.0.1:1" } });
    expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining("registry.invalid: connection refused") });
  });
});
