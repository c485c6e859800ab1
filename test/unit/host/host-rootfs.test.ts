import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isDenied } from "../../../cli/host/host-etc.ts";
import { hostFiles } from "../../../cli/host/host-files.ts";
import { scanHostRootfs } from "../../../cli/host/host-rootfs.ts";
import { hostRootfsFacts } from "../../../cli/host/host-rootfs-cache.ts";
import { fakeHost, type TreeEntry } from "./tree.ts";

const merged: Record<string, TreeEntry> = {
  "/bin": { link: "usr/bin" },
  "/lib": { link: "usr/lib" },
  "/lib64": { link: "lib" },
  "/usr/bin/true": "",
  "/usr/lib/libc.so": "",
  "/home/secret": "no",
};
const paths = (entries: readonly { readonly path: string }[]) => entries.map((entry) => entry.path);
const scan = (tree: Record<string, TreeEntry>) => scanHostRootfs(fakeHost(tree).files).facts;

describe("scanHostRootfs", () => {
  test("links of a merged host, by way of one another", () => {
    const { links, directories } = scan(merged);
    expect(links.map(({ path, target }) => `${path} -> ${target}`).sort()).toEqual(["/bin -> usr/bin", "/lib -> usr/lib", "/lib64 -> lib"]);
    expect(directories).toEqual([]);
  });

  test("directories of a host that is not merged", () => {
    const { links, directories } = scan({ "/bin/sh": "", "/lib/ld-musl.so": "", "/usr/bin/env": "", "/root/x": "" });
    expect(links).toEqual([]);
    expect(directories).toEqual(["/bin", "/lib"]);
  });

  test("shows what links under /usr lead to, a public folder as a whole", () => {
    const { etc } = scan({
      ...merged,
      "/usr/lib/jvm/java-17/conf/security/java.security": { link: "/etc/java-17-openjdk/security/java.security" },
      "/usr/lib/jvm/java-17/lib/jvm.cfg": { link: "../../../../../etc/java-17-openjdk/jvm-amd64.cfg" },
      "/etc/java-17-openjdk/security/java.security": "x",
      "/etc/java-17-openjdk/jvm-amd64.cfg": "x",
      "/etc/unrelated/file": "x",
    });
    expect(etc).toEqual([{ path: "/etc/java-17-openjdk", kind: "directory" }]);
  });

  test("a folder that holds one private file is not shown as a whole, and the file not at all", () => {
    const { etc } = scan({
      ...merged,
      "/usr/share/tool/conf": { link: "/etc/tool" },
      "/etc/tool/public.conf": "x",
      "/etc/tool/admin.conf": { text: "x", mode: 0o640 },
      "/etc/tool/deep/ok": "x",
    });
    expect(paths(etc)).toEqual(["/etc/tool/deep", "/etc/tool/public.conf"]);
  });

  test("never credentials, wherever a link leads and however open they are", () => {
    const { etc, etcLinks } = scan({
      ...merged,
      "/usr/lib/ssl/private": { link: "/etc/ssl/private" },
      "/usr/lib/ssl/certs": { link: "/etc/ssl/certs" },
      "/usr/lib/a": { link: "/etc/shadow" },
      "/usr/lib/b": { link: "/etc/machine-id" },
      "/usr/lib/c": { link: "/etc/environment" },
      "/usr/lib/d": { link: "/etc" },
      "/usr/share/maven/conf": { link: "/etc/maven" },
      "/etc/ssl/private/server.pem": "canary",
      "/etc/ssl/certs/ca-certificates.crt": "x",
      "/etc/ssl/certs/left-here.key": "canary",
      "/etc/shadow": "canary",
      "/etc/machine-id": "canary",
      "/etc/environment": "canary",
      "/etc/maven/settings.xml": "canary",
      "/etc/maven/m2.conf": "x",
    });
    expect(paths(etc)).toEqual(["/etc/maven/m2.conf", "/etc/ssl/certs/ca-certificates.crt"]);
    expect(etcLinks).toEqual([]);
  });

  test("follows links within /etc, and keeps each of them as a link", () => {
    const { etc, etcLinks } = scan({
      ...merged,
      "/etc/ssl/certs": { link: "../pki/tls/certs" },
      "/etc/pki/tls/certs/ca-bundle.crt": { link: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem" },
      "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": "x",
      "/etc/pki/private-ca/x.pem": "canary",
      "/etc/localtime": { link: "/usr/share/zoneinfo/Europe/Paris" },
    });
    expect(etcLinks).toEqual([
      { path: "/etc/localtime", target: "/usr/share/zoneinfo/Europe/Paris" },
      { path: "/etc/ssl/certs", target: "../pki/tls/certs" },
    ]);
    expect(paths(etc)).toEqual(["/etc/pki/ca-trust", "/etc/pki/tls"]);
  });

  test("a loop of links ends", () => {
    const { etc } = scan({ ...merged, "/etc/localtime": { link: "/etc/timezone" }, "/etc/timezone": { link: "/etc/localtime" } });
    expect(etc).toEqual([]);
  });

  test("names of links are no reason to hide a folder of links", () => {
    const { etc } = scan({
      ...merged,
      "/etc/alternatives/vncpasswd": { link: "/usr/bin/tigervncpasswd" },
      "/etc/alternatives/awk": { link: "/usr/bin/mawk" },
    });
    expect(etc).toEqual([{ path: "/etc/alternatives", kind: "directory" }]);
  });
});

test.each([
  "/etc/shadow-",
  "/etc/ssh/ssh_config",
  "/etc/sudoers.d/x",
  "/etc/tool/api_token",
  "/etc/x/server.key",
  "/etc/NetworkManager/y",
  "/etc/security/limits.conf",
])("isDenied: %s", (path) => expect(isDenied(path)).toBe(true));
test.each(["/etc/ld.so.cache", "/etc/java-17-openjdk/security/java.policy", "/etc/ssl/certs/ca-certificates.crt", "/etc/services"])(
  "not isDenied: %s",
  (path) => expect(isDenied(path)).toBe(false),
);

describe("the cache of the scan", () => {
  const cached = (tree: Record<string, TreeEntry>) => {
    const { root, files } = fakeHost({ ...tree, "/cache/belljar": null });
    let scans = 0;
    const entries = (path: string) => {
      if (path === "/") scans++;
      return files.entries(path);
    };
    const counting = { ...files, entries };
    const facts = () => hostRootfsFacts(counting, { XDG_CACHE_HOME: join(root, "cache") });
    return { root, facts, scans: () => scans, file: join(root, "cache/belljar/host-rootfs.json") };
  };

  test("is used while nothing has changed, and gives the same", () => {
    const { facts, scans } = cached({ ...merged, "/etc/services": "x" });
    const first = facts();
    expect(facts()).toEqual(first);
    expect(scans()).toBe(1);
  });

  test("a new entry in /etc is noticed", () => {
    const { root, facts } = cached({ ...merged, "/etc/services": "x" });
    facts();
    writeFileSync(join(root, "etc/protocols"), "x");
    expect(paths(facts().etc)).toEqual(["/etc/protocols", "/etc/services"]);
  });

  test("a private file that comes into a folder shown as a whole is noticed", () => {
    const { root, facts } = cached({ ...merged, "/etc/fonts/fonts.conf": "x" });
    expect(paths(facts().etc)).toEqual(["/etc/fonts"]);
    writeFileSync(join(root, "etc/fonts/secret.conf"), "x");
    expect(paths(facts().etc)).toEqual(["/etc/fonts/fonts.conf"]);
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    '{"version":1}',
    '{"version":1,"stamps":{},"facts":{"links":[],"directories":[],"etc":[],"etcLinks":[]}}',
    '{"version":1,"stamps":{"/":"absent"},"facts":{"etc":[{"path":"shadow"}]}}',
  ])("corrupted cache %j is ignored", (text) => {
    const { facts, scans, file } = cached({ ...merged, "/etc/services": "x" });
    writeFileSync(file, text, { mode: 0o600 });
    expect(paths(facts().etc)).toEqual(["/etc/services"]);
    expect(scans()).toBe(1);
  });

  test("a cache that others can write is ignored", () => {
    const { facts, scans, file } = cached(merged);
    facts();
    chmodSync(file, 0o666);
    facts();
    expect(scans()).toBe(2);
  });

  test("a cache that cannot be written costs time only", () => {
    const { root, files } = fakeHost({ ...merged, "/etc/services": "x", "/cache": "no folder" });
    expect(paths(hostRootfsFacts(files, { XDG_CACHE_HOME: join(root, "cache") }).etc)).toEqual(["/etc/services"]);
  });
});

test("on this very host nothing shown is private", () => {
  const files = hostFiles();
  const { facts } = scanHostRootfs(files);
  expect(facts.etc.length).toBeGreaterThan(0);
  for (const { path } of facts.etc) {
    expect(path).not.toMatch(/shadow|ssl\/private|machine-id|\/ssh\b/);
    expect((files.stat(path)?.mode ?? 0) & 0o004, path).toBe(0o004);
  }
});
