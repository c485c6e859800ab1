import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { buildConnector } from "undici";
import { bareHost } from "./addresses.ts";

/** Code of the errors of a proxy that answers, but not with a connection. */
export const proxyRefusalCode = "BELLJAR_PROXY_REFUSAL";

export const proxyRefusal = (status: number | undefined): Error =>
  Object.assign(new Error(`the proxy refuses: status ${status}`), { code: proxyRefusalCode });

/** User name and password of a proxy's URL as its header; nothing when there are none. */
export function proxyHeaders({ username, password }: URL): Readonly<Record<string, string>> {
  if (username === "" && password === "") return {};
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(text, "utf8").toString("base64")}` };
}

/** A connection through a proxy (RFC 9110, 9.3.6). */
function openTunnel(proxy: URL, authority: string, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const request = (proxy.protocol === "https:" ? httpsRequest : httpRequest)({
      ...{ method: "CONNECT", host: bareHost(proxy.hostname), path: authority, agent: false, timeout: timeoutMs },
      port: proxy.port || (proxy.protocol === "https:" ? 443 : 80),
      headers: { host: authority, ...proxyHeaders(proxy) },
    });
    request.once("connect", ({ statusCode }, socket, head) => {
      if (statusCode === 200 && head.length === 0) return resolve(socket as Socket);
      socket.destroy();
      return reject(proxyRefusal(statusCode));
    });
    request.once("response", ({ statusCode }) => {
      request.destroy();
      reject(proxyRefusal(statusCode));
    });
    request.once("timeout", () => request.destroy(Object.assign(new Error("timeout"), { code: "UND_ERR_CONNECT_TIMEOUT" })));
    request.once("error", reject);
    request.end();
  });
}

/**
 * Connects by TLS through a tunnel of a proxy. undici's own ProxyAgent connects again and again, without end or pause, to a proxy that
 * closes the connection.
 */
export function tunnelConnector(
  proxy: URL,
  options: { readonly secure: buildConnector.connector; readonly timeoutMs: number },
): buildConnector.connector {
  return (target, callback) => {
    const authority = `${target.hostname}:${target.port || 443}`;
    openTunnel(proxy, authority, options.timeoutMs).then(
      (socket) => options.secure({ ...target, httpSocket: socket }, callback),
      (error: Error) => callback(error, null),
    );
  };
}
