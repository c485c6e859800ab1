// Services of the host that listen on sockets: a way out that no read-only mount stops.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { type AddressInfo, createServer, type ListenOptions, type Server } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutsideAsync, attackProgram, Tries } from "../helpers/attack.ts";
import { until } from "../helpers/deadline.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-sockets";

interface Service {
  readonly server: Server;
  readonly secret: string;
  connections(): number;
}

/** Greets whoever connects with a secret. */
async function service(options: ListenOptions): Promise<Service> {
  const secret = `canary:${randomBytes(16).toString("hex")}`;
  let count = 0;
  const server = createServer((socket) => {
    count++;
    socket.on("error", () => undefined).end(secret);
  });
  server.listen(options);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { server, secret, connections: () => count };
}

const portOf = ({ server }: Service): string => String((server.address() as AddressInfo).port);

needs("userns")("connects to a socket of the host by its path", async () => {
  const path = join(tempDir("socket"), "service");
  const { secret, connections } = await service({ path });
  chmodSync(path, 0o777);
  expect((await attackOutsideAsync(program, ["path", path])).of("path").text).toBe(secret);
  const inside = await attackInSandbox(program, ["path", path, "pass-fd", path]);
  expect(inside.tries.outcomes()).toEqual({ path: "ENOENT", "pass-fd": "ENOENT" });
  expect(inside.stdout).not.toContain(secret);
  expect(connections()).toBe(1);
});

needs("userns")("finds the sockets that services of the host are known by", async () => {
  const known = [
    "/run/dbus/system_bus_socket",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/systemd/private",
    "/tmp/.X11-unix/X0",
    "/dev/log",
    `/run/user/${process.getuid?.()}/bus`,
  ];
  const inside = await attackInSandbox(
    program,
    known.flatMap((path) => ["path", path]),
  );
  expect(inside.tries.outcomes()).toEqual({ path: "ENOENT" });
  expect(inside.tries.all).toHaveLength(known.length);
});

needs("userns")("connects to an abstract socket of the host", async () => {
  const name = `belljar-${randomBytes(8).toString("hex")}`;
  const secret = `canary:${randomBytes(16).toString("hex")}`;
  // Not Node's own: it pads abstract names with zeros.
  const server = spawn(attackProgram(program), ["serve-abstract", name, secret], { stdio: ["pipe", "pipe", "inherit"] });
  let said = "";
  server.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  onTestFinished(() => void server.kill("SIGKILL"));
  await until(() => said.includes("planted"), { what: "the service" });
  expect((await attackOutsideAsync(program, ["abstract", name])).of("abstract").text).toBe(secret);
  const inside = await attackInSandbox(program, ["abstract", name]);
  expect(inside.tries.outcomes()).toEqual({ abstract: "ECONNREFUSED" });
  // The network namespace is the guard. With the host's network, Landlock (ABI 6) is what is left; without it the name is reached.
  const lifted = await attackInSandbox(program, ["abstract", name], { run: ["--network", "host"] });
  const reached = lifted.tries.of("abstract").text === secret;
  expect(reached ? "OK" : lifted.tries.outcomes()["abstract"]).toMatch(/^(OK|EPERM)$/);
  server.stdin.end();
  await once(server, "exit");
  expect(new Tries(said).of("connections").result).toBe(reached ? 2 : 1);
});

needs("userns")("connects to a service of the host over loopback", async () => {
  const v4 = await service({ host: "127.0.0.1", port: 0 });
  const port = portOf(v4);
  expect((await attackOutsideAsync(program, ["tcp", port])).of("tcp").text).toBe(v4.secret);
  const inside = await attackInSandbox(program, ["tcp", port, "tcp6", port]);
  expect(inside.tries.outcomes()).toMatchObject({ tcp: "ECONNREFUSED" });
  expect(inside.tries.outcomes()["tcp6"]).toMatch(/^(ECONNREFUSED|EADDRNOTAVAIL|EAFNOSUPPORT|ENETUNREACH)$/);
  expect(v4.connections()).toBe(1);
  // With the host's network, and nothing else lifted, it is reached.
  const lifted = await attackInSandbox(program, ["tcp", port], { run: ["--network", "host"] });
  expect(lifted.tries.of("tcp").text).toBe(v4.secret);
  expect(v4.connections()).toBe(2);
});

needs("userns")("sends a datagram to a service of the host", async () => {
  const server = createSocket("udp4");
  const messages: string[] = [];
  server.on("message", (message, from) => {
    messages.push(message.toString());
    server.send("answer", from.port, from.address);
  });
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const port = String(server.address().port);
  expect((await attackOutsideAsync(program, ["udp", port])).of("udp").text).toBe("answer");
  const inside = await attackInSandbox(program, ["udp", port]);
  expect(inside.tries.outcomes()).toEqual({ udp: "ECONNREFUSED" });
  expect(messages).toHaveLength(1);
});

needs("userns", "netns")("has no way beyond loopback, and no socket beneath IP", async () => {
  const inside = await attackInSandbox(program, ["beyond", "0", "interfaces", "0", "raw", "0", "packet", "0", "vsock", "0", "alg", "0"]);
  expect(inside.tries.outcomes()).toEqual({
    beyond: "ENETUNREACH",
    interfaces: "OK",
    raw: "EPERM",
    packet: "EAFNOSUPPORT",
    vsock: "EAFNOSUPPORT",
    alg: "EAFNOSUPPORT",
  });
  expect(inside.tries.of("interfaces").text?.trim()).toBe("lo");
  // Raw and packet sockets work where the program owns its network namespace.
  const outside = await attackOutsideAsync(program, ["raw", "0", "packet", "0"], { ownNamespaces: true });
  expect(outside.outcomes()).toEqual({ raw: "OK", packet: "OK" });
});

needs("userns")("a volume that holds a socket is a door that the caller opened", async () => {
  const dir = tempDir("socket");
  chmodSync(dir, 0o755);
  const { secret, connections } = await service({ path: join(dir, "service") });
  chmodSync(join(dir, "service"), 0o777);
  const inside = await attackInSandbox(program, ["path", "/data/service"], { run: ["-v", `${dir}:/data`] });
  // Read-only mounts do not stop connect(2), and no guard of an ordinary user's does: documented, and kept in sight by this test.
  expect(inside.tries.of("path").text).toBe(secret);
  expect(connections()).toBe(1);
});
