/** What the program finds at its root: the host's /usr and company, the top level of a directory, or layers put together. */
import { BelljarError } from "../errors.ts";
import type { ResolvedPolicy } from "../profile/types.ts";
import type { FsEntry, SandboxPlan } from "../wire/wire.gen.ts";
import type { Confinement } from "./companions.ts";
import { bindFile, bindTree, directory, scratch, symlink } from "./entries.ts";
import { etcEntries } from "./etc.ts";
import { compileLayers } from "./layers.ts";
import { isWithin } from "./paths.ts";
import type { DirectoryRootfsFacts, HostFacts, HostRootfsFacts } from "./types.ts";

interface RootfsInput {
  readonly policy: ResolvedPolicy;
  readonly facts: HostFacts;
  readonly uid: number;
  readonly gid: number;
  readonly confinement: Confinement;
}

export interface CompiledRoot extends Pick<SandboxPlan, "rootKind" | "rootLayers" | "rootReadOnly" | "companions"> {
  /** What is put into the root, before everything else. */
  readonly entries: readonly FsEntry[];
}

/** Whether the root is put together from layers: an image, or a directory that the program may seem to change. */
export function isLayered({ rootfs }: Pick<ResolvedPolicy, "rootfs">): boolean {
  return rootfs.kind === "image" || (rootfs.kind === "directory" && rootfs.writable);
}

/** Throws BelljarError `not-supported` for what this version cannot do, `rootfs-invalid` for a directory that is no rootfs. */
export function compileRoot({ policy, facts, uid, gid, confinement }: RootfsInput): CompiledRoot {
  const { rootfs } = policy;
  if (rootfs.kind === "host" && rootfs.writable)
    throw new BelljarError(
      "not-supported",
      "compiling the plan: rootfs.writable: the host's own /usr is never writable; /work, /tmp and volumes are",
      { hint: "run on an image (-i IMAGE) or on a root file system in a folder (--rootfs DIR)" },
    );
  if (isLayered(policy)) {
    if (facts.layeredRootfs === null) throw unread("the layers were not read");
    return compileLayers(facts.layeredRootfs, { writable: rootfs.writable, hostname: policy.process.hostname, confinement });
  }
  const skeleton = { rootKind: "skeleton", rootLayers: [], rootReadOnly: true, companions: [] } as const;
  if (rootfs.kind === "directory") {
    if (facts.directoryRootfs === null) throw unread("the rootfs directory was not read");
    return { ...skeleton, entries: directoryEntries(facts.directoryRootfs) };
  }
  if (facts.hostRootfs === null) throw unread("the host's /usr was not read");
  const own = etcEntries({ uid, gid, hostname: policy.process.hostname, network: policy.network.mode });
  return { ...skeleton, entries: hostEntries(facts.hostRootfs, own) };
}

const unread = (what: string): BelljarError => new BelljarError("internal", `compiling the plan: ${what}`);

function hostEntries(host: HostRootfsFacts, own: readonly FsEntry[]): readonly FsEntry[] {
  const ours = new Set(own.map(({ target }) => target));
  const folders = host.etc.filter(({ kind }) => kind === "directory").map(({ path }) => path);
  // What a bound folder shows already needs no entry of its own, and none could be made inside it.
  const wanted = (path: string): boolean => !ours.has(path) && !folders.some((folder) => folder !== path && isWithin(path, folder));
  return [
    bindTree("/usr", "/usr"),
    ...host.links.map(({ path, target }) => symlink(path, target)),
    ...host.directories.map((path) => bindTree(path, path)),
    directory("/etc"),
    ...own,
    ...host.etc
      .filter(({ path }) => wanted(path))
      .map(({ path, kind }) => (kind === "directory" ? bindTree(path, path) : bindFile(path, path))),
    ...host.etcLinks.filter(({ path }) => wanted(path)).map(({ path, target }) => symlink(path, target)),
    directory("/run"),
    scratch("/var/tmp", { name: "var-tmp", mode: 0o1777 }),
  ];
}

/** Ours in every sandbox, whatever the directory has there: /run because services listen on sockets in it. */
const provided = new Set(["proc", "sys", "dev", "tmp", "run", "work"]);

function directoryEntries({ path, entries }: DirectoryRootfsFacts): readonly FsEntry[] {
  if (path === "/")
    throw new BelljarError("rootfs-invalid", "compiling the plan: rootfs '/': the whole host is no sandbox", {
      hint: 'use "kind": "host" (--rootfs host), which shows the host\'s /usr and little else',
    });
  const shown = entries.filter(({ name }) => !provided.has(name));
  if (shown.length === 0)
    throw new BelljarError("rootfs-invalid", `compiling the plan: rootfs '${path}': the directory holds nothing to run`);
  return [
    ...shown.map(({ name, kind, target }) => {
      const at = `/${name}`;
      const source = `${path}${at}`;
      if (kind === "symlink") return symlink(at, target ?? "");
      return kind === "directory" ? bindTree(at, source) : bindFile(at, source);
    }),
    directory("/run"),
  ];
}
