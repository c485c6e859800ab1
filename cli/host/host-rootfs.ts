import { dirname, posix } from "node:path";
import type { HostRootfsFacts } from "../../policy/compile/types.ts";
import { coverEtc, wantedEtc } from "./host-etc.ts";
import type { HostFiles } from "./host-files.ts";

export interface HostRootfsScan {
  readonly facts: HostRootfsFacts;
  /** Directories whose change makes the facts stale. */
  readonly watched: readonly string[];
}

/** Names of the root directory that hold programs and libraries, on hosts that are merged into /usr and on others. */
const programFolders = /^(bin|sbin|lib|lib32|lib64|libx32|libo32|libilp32)$/;

/** Documentation is big and nobody runs it. */
const notWalked = new Set(["/usr/share/man", "/usr/share/doc", "/usr/share/info", "/usr/share/help", "/usr/src", "/usr/include"]);
const maxDepth = 24;
const maxLinks = 8;

/**
 * Paths beneath /etc to which symbolic links under /usr lead (Java's configuration, openssl.cnf, sitecustomize.py). One walk
 * that follows nothing; what the links say is resolved as text, then looked up.
 */
function linkTargets(files: HostFiles): readonly string[] {
  const found = new Set<string>();
  const walk = (dir: string, depth: number): void => {
    if (depth > maxDepth || notWalked.has(dir)) return;
    for (const { name, kind } of files.entries(dir)) {
      const path = `${dir}/${name}`;
      if (kind === "directory") walk(path, depth + 1);
      if (kind !== "symlink") continue;
      const text = files.link(path);
      if (text === null || !text.includes("etc")) continue;
      const target = posix.resolve(dir, text);
      if (target.startsWith("/etc/") && !target.startsWith("/etc/alternatives/")) found.add(target);
    }
  };
  walk("/usr", 0);
  return [...found];
}

/** What a path beneath /etc goes through: the links on the way (outermost first), and where it ends, if that is beneath /etc. */
function follow(files: HostFiles, path: string): { readonly links: readonly string[]; readonly end: string | null } {
  const links: string[] = [];
  let at = path;
  while (links.length < maxLinks) {
    const parts = at.split("/");
    const index = parts.findIndex((_, i) => i > 1 && files.link(parts.slice(0, i + 1).join("/")) !== null);
    if (index < 0) return { links, end: at };
    const link = parts.slice(0, index + 1).join("/");
    links.push(link);
    at = posix.resolve(dirname(link), files.link(link) ?? "", ...parts.slice(index + 1));
    if (!at.startsWith("/etc/")) return { links, end: null };
  }
  return { links, end: null };
}

/**
 * What a sandbox on the host's /usr needs beside it. Takes a fraction of a second on a big /usr, so the result is cached.
 * Nothing that only some users can read is ever part of it.
 */
export function scanHostRootfs(files: HostFiles): HostRootfsScan {
  const links: { path: string; target: string }[] = [];
  const directories: string[] = [];
  for (const { name, kind } of files.entries("/")) {
    if (!programFolders.test(name)) continue;
    const target = files.link(`/${name}`);
    if (kind === "directory") directories.push(`/${name}`);
    const [, first = ""] = target === null ? [] : posix.resolve("/", target).split("/");
    if (target !== null && (first === "usr" || programFolders.test(first))) links.push({ path: `/${name}`, target });
  }
  const ways = [...wantedEtc, ...linkTargets(files)].filter((path) => files.lstat(path) !== null).map((path) => follow(files, path));
  const wanted = ways.flatMap((way) => [...way.links, ...(way.end === null ? [] : [way.end])]);
  const { entries, links: etcLinks, watched } = coverEtc(files, wanted);
  const byPath = (a: { readonly path: string }, b: { readonly path: string }) => (a.path < b.path ? -1 : 1);
  return {
    facts: { links, directories: directories.sort(), etc: [...entries].sort(byPath), etcLinks: [...etcLinks].sort(byPath) },
    watched,
  };
}
