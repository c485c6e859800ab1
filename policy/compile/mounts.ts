/** The file system of the sandbox as one list, applied entry by entry: rootfs, kernel file systems, writable places, mounts. */
import { BelljarError } from "../errors.ts";
import type { ResolvedMount, ResolvedPolicy } from "../profile/types.ts";
import type { FsEntry, FsFlag } from "../wire/wire.gen.ts";
import type { Confinement } from "./companions.ts";
import { devEntries } from "./dev.ts";
import { bind, bindFile, ensureDirectory, mask, readOnly, scratch, tmpfs } from "./entries.ts";
import { procEntries, sysEntries } from "./kernel-fs.ts";
import { isWithin, sandboxPath, workPath } from "./paths.ts";
import { type CompiledRoot, compileRoot, isLayered } from "./rootfs.ts";
import type { HostFacts, RunRequest } from "./types.ts";

export interface MountInput {
  readonly policy: ResolvedPolicy;
  readonly facts: HostFacts;
  readonly request: RunRequest;
  readonly uid: number;
  readonly gid: number;
  readonly confinement: Confinement;
}

export interface CompiledMounts extends Omit<CompiledRoot, "entries"> {
  readonly filesystem: readonly FsEntry[];
}

/**
 * Order matters: what comes later covers what came before, and mount points can be made only where the launcher's own
 * skeleton is, not inside a tree of the host's.
 */
export function compileMounts({ policy, facts, request, uid, gid, confinement }: MountInput): CompiledMounts {
  const { entries, ...root } = compileRoot({ policy, facts, uid, gid, confinement });
  const filesystem = [
    ...entries,
    ...procEntries(policy.proc),
    ...sysEntries(policy),
    ...devEntries({ layered: isLayered(policy), writable: !root.rootReadOnly }),
    scratch("/tmp", { name: "tmp", mode: 0o1777 }),
    scratch(workPath, { name: "work", mode: 0o755, ownedByProgram: true }),
    ...parentsFirst(policy.mounts.map(mountEntry)),
    ...scriptEntries(request, policy),
    ...workdirEntries(policy, request),
  ];
  return { ...root, filesystem };
}

/** Images name working directories that they do not have; container tools make them. */
function workdirEntries(policy: ResolvedPolicy, { cwd }: RunRequest): readonly FsEntry[] {
  if (!isLayered(policy)) return [];
  const path = sandboxPath(cwd ?? policy.process.workdir, { what: "working directory", code: cwd === null ? "image-invalid" : "usage" });
  return path === "/" || path === workPath ? [] : [ensureDirectory(path)];
}

/**
 * In the profile's order, but for mounts that would cover one that stands before them: those go first, so that -v a:/d/sub -v b:/d shows
 * both. `read-only` covers nothing, and what is mounted beneath it may need its mount point made first.
 */
function parentsFirst(mounts: readonly FsEntry[]): readonly FsEntry[] {
  const sorted: FsEntry[] = [];
  for (const mount of mounts) {
    const child = mount.kind === "readOnly" ? -1 : sorted.findIndex(({ target }) => isWithin(target, mount.target));
    sorted.splice(child === -1 ? sorted.length : child, 0, mount);
  }
  return sorted;
}

function mountEntry(mount: ResolvedMount): FsEntry {
  const target = sandboxPath(mount.target, { what: "mount target", code: "profile-invalid" });
  if (target === "/") throw new BelljarError("profile-invalid", "compiling the plan: mount target '/': the root itself cannot be covered");
  switch (mount.kind) {
    case "bind": {
      if (!mount.source.startsWith("/"))
        throw new BelljarError("profile-invalid", `compiling the plan: mount source '${mount.source}': must be an absolute path`);
      const flags: FsFlag[] = [];
      if (mount.access === "read-only") flags.push("readOnly");
      flags.push("recursive");
      if (mount.optional) flags.push("optional");
      return bind(target, { source: mount.source, flags });
    }
    case "tmpfs":
      return tmpfs(target, mount);
    case "mask":
      return mask(target);
    case "read-only":
      return readOnly(target);
  }
}

function scriptEntries({ script, filesIn }: RunRequest, policy: ResolvedPolicy): readonly FsEntry[] {
  const covering = policy.mounts.find(({ target }) => sandboxPath(target, { what: "mount target", code: "profile-invalid" }) === workPath);
  if (covering !== undefined && filesIn.length > 0)
    throw new BelljarError("usage", `compiling the plan: mount target '${workPath}': files to copy in would end up in the mounted folder`, {
      hint: "mount the folder elsewhere (such as /data), or leave out the files to copy in",
    });
  if (script === null) return [];
  if (script.name === "" || script.name === "." || script.name === ".." || /[/\0]/.test(script.name))
    throw new BelljarError("usage", `compiling the plan: script '${script.name}': not a file name`);
  return [bindFile(`${workPath}/${script.name}`, script.hostPath)];
}

/** Volumes that the program can write to: outside the disk limit, so reports list them. As options spell them. */
export function writableVolumes(policy: ResolvedPolicy): readonly string[] {
  return policy.mounts.flatMap((mount) =>
    mount.kind === "bind" && mount.access === "read-write" ? [`${mount.source}:${mount.target}`] : [],
  );
}
