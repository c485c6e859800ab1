import type { FsEntry } from "../wire/wire.gen.ts";
import { bind, devpts, directory, readOnly, scratch, symlink } from "./entries.ts";

/** Nodes that every program may expect (OCI runtime spec, config-linux "Default Devices"). Nothing else of the host's /dev. */
const nodes = ["null", "zero", "full", "random", "urandom", "tty"] as const;

const links: readonly (readonly [string, string])[] = [
  ["ptmx", "pts/ptmx"],
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
];

interface DevInput {
  /** The root is an image's, whose own /dev is covered. */
  readonly layered: boolean;
  readonly writable: boolean;
}

/**
 * A /dev of our own. The nodes are the host's, so their mounts are read-only: devices can be written all the same, but the
 * program cannot touch the host's time stamps of /dev/null, which is writable for everybody. On the skeleton /dev is read-only with the
 * root; over a read-only image it is made so, before the file systems in it that programs do write to.
 */
export function devEntries({ layered, writable }: DevInput): readonly FsEntry[] {
  return [
    layered ? scratch("/dev", { name: "dev", mode: 0o755 }) : directory("/dev"),
    ...nodes.map((name) => bind(`/dev/${name}`, { source: `/dev/${name}`, flags: ["readOnly", "deviceNodes", "sourceIsFile"] })),
    ...links.map(([name, text]) => symlink(`/dev/${name}`, text)),
    ...(layered && !writable ? [directory("/dev/pts"), directory("/dev/shm"), readOnly("/dev")] : []),
    devpts(),
    scratch("/dev/shm", { name: "shm", mode: 0o1777 }),
  ];
}
