import { describe, expect, test } from "vitest";
import { writableVolumes } from "../../../policy/compile/index.ts";
import type { ResolvedMount } from "../../../policy/profile/types.ts";
import type { FsEntry } from "../../../policy/wire/wire.gen.ts";
import { compile, errorOf, facts, policy } from "./fixtures.ts";

const show = ({ kind, target, source, flags }: FsEntry): string =>
  [kind, target, source, flags.join("+")].filter((part) => part !== "").join(" ");
const filesystem = (changes: Parameters<typeof compile>[0] = {}): readonly string[] => compile(changes).plan.sandbox.filesystem.map(show);
const contentOf = (entries: readonly FsEntry[], target: string): string =>
  new TextDecoder().decode(entries.find((entry) => entry.target === target && entry.kind === "file")?.content);

describe("on the host's /usr", () => {
  test("the whole table, in order", () => {
    expect(filesystem()).toEqual([
      "bind /usr /usr readOnly+recursive",
      "symlink /bin usr/bin",
      "symlink /lib64 usr/lib64",
      "bind /lib32 /lib32 readOnly+recursive",
      "directory /etc",
      "file /etc/passwd",
      "file /etc/group",
      "file /etc/hosts",
      "file /etc/hostname",
      "file /etc/nsswitch.conf",
      "file /etc/resolv.conf",
      "bind /etc/alternatives /etc/alternatives readOnly+recursive",
      "bind /etc/ld.so.cache /etc/ld.so.cache readOnly+sourceIsFile",
      "bind /etc/ssl /etc/ssl readOnly+recursive",
      "symlink /etc/localtime /usr/share/zoneinfo/UTC",
      "directory /run",
      "scratch /var/tmp var-tmp",
      "proc /proc subsetPid",
      "directory /dev",
      ...["null", "zero", "full", "random", "urandom", "tty"].map(
        (name) => `bind /dev/${name} /dev/${name} readOnly+deviceNodes+sourceIsFile`,
      ),
      "symlink /dev/ptmx pts/ptmx",
      "symlink /dev/fd /proc/self/fd",
      "symlink /dev/stdin /proc/self/fd/0",
      "symlink /dev/stdout /proc/self/fd/1",
      "symlink /dev/stderr /proc/self/fd/2",
      "devpts /dev/pts",
      "scratch /dev/shm shm",
      "scratch /tmp tmp",
      "scratch /work work ownedByProgram",
    ]);
  });
  test("our own user files name the program's ids and nothing of the host", () => {
    const entries = compile({ request: { user: { uid: 7, gid: 8 } } }).plan.sandbox.filesystem;
    expect(contentOf(entries, "/etc/passwd")).toBe(
      "root:x:0:0:root:/root:/bin/sh\nbelljar:x:7:8:belljar:/work:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    );
    expect(contentOf(entries, "/etc/group")).toBe("root:x:0:\nbelljar:x:8:\nnogroup:x:65534:\n");
    expect(contentOf(entries, "/etc/hosts")).toBe("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\tbelljar\n");
  });
  test.each([
    [0, "root:x:0:0:root:/work:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"],
    [65534, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/work:/bin/sh\n"],
  ])("user id %d has one line and the home /work", (uid, text) => {
    expect(contentOf(compile({ request: { user: { uid, gid: uid } } }).plan.sandbox.filesystem, "/etc/passwd")).toBe(text);
  });
  test("on the host's network its resolver is bound, where there is one", () => {
    expect(filesystem({ policy: { network: { mode: "host" } } })).toContain(
      "bind /etc/resolv.conf /etc/resolv.conf readOnly+optional+sourceIsFile",
    );
  });
  test("modes: world-writable with the sticky bit, the work folder the program's", () => {
    const entries = compile().plan.sandbox.filesystem;
    expect(entries.filter(({ kind }) => kind === "scratch").map(({ target, mode }) => [target, mode])).toEqual([
      ["/var/tmp", 0o1777],
      ["/dev/shm", 0o1777],
      ["/tmp", 0o1777],
      ["/work", 0o755],
    ]);
  });
  test("no mount may be reached by two spellings, and each is one that the wire accepts", () => {
    const targets = compile().plan.sandbox.filesystem.map(({ target }) => target);
    expect(new Set(targets).size).toBe(targets.length);
  });
});

describe("on a directory", () => {
  const directoryRootfs = {
    path: "/srv/r",
    entries: [
      { name: "bin", kind: "symlink" as const, target: "usr/bin" },
      { name: "etc", kind: "directory" as const, target: null },
      { name: "proc", kind: "directory" as const, target: null },
      { name: "run", kind: "directory" as const, target: null },
      { name: "work", kind: "directory" as const, target: null },
      { name: "busybox", kind: "file" as const, target: null },
    ],
  };
  const rootfs = { kind: "directory" as const, path: "/srv/r", writable: false, overlay: "auto" as const };
  test("its top level, but what every sandbox has of its own", () => {
    const table = filesystem({ policy: { rootfs }, facts: { directoryRootfs, hostRootfs: null } });
    expect(table.slice(0, 5)).toEqual([
      "symlink /bin usr/bin",
      "bind /etc /srv/r/etc readOnly+recursive",
      "bind /busybox /srv/r/busybox readOnly+sourceIsFile",
      "directory /run",
      "proc /proc subsetPid",
    ]);
    expect(table.filter((line) => line.includes("/etc/"))).toEqual([]);
  });
  test.each([
    ["/", "the whole host is no sandbox"],
    ["/srv/r", "holds nothing to run"],
  ])("%s without anything of use is refused", (path, words) => {
    const error = errorOf(() => compile({ policy: { rootfs: { ...rootfs, path } }, facts: { directoryRootfs: { path, entries: [] } } }));
    expect(error.code).toBe("rootfs-invalid");
    expect(error.message).toContain(words);
  });
});

describe("/proc and /sys", () => {
  test("full: what runtimes mask and write-protect", () => {
    const table = filesystem({ policy: { proc: "full" } });
    expect(table).toContain("proc /proc");
    expect(table).toContain("mask /proc/kcore optional");
    expect(table).toContain("readOnly /proc/sys optional");
    expect(table.indexOf("proc /proc")).toBeLessThan(table.indexOf("mask /proc/kcore optional"));
  });
  test("host-read-only and none", () => {
    expect(filesystem({ policy: { proc: "host-read-only" } })).toContain("bind /proc /proc readOnly+recursive");
    expect(filesystem({ policy: { proc: "none" } }).filter((line) => / \/proc( |$)/.test(line))).toEqual([]);
  });
  test("/sys is new in a network namespace of its own and bound on the host's", () => {
    expect(filesystem().filter((line) => line.includes("/sys"))).toEqual([]);
    expect(filesystem({ policy: { sys: "private" } })).toContain("sysfs /sys readOnly");
    const shared = filesystem({ policy: { sys: "private", network: { mode: "host" } } });
    expect(shared).toContain("bind /sys /sys readOnly+recursive");
    expect(shared).toContain("mask /sys/firmware optional");
  });
});

describe("the profile's mounts and the script", () => {
  const mounts = [
    { kind: "bind", source: "/srv/data", target: "/data/", access: "read-only", optional: false, comment: null },
    { kind: "bind", source: "/srv/out", target: "/out", access: "read-write", optional: true, comment: "results" },
    { kind: "tmpfs", target: "/cache", sizeBytes: 67_108_864, inodes: null, mode: 0o700, comment: null },
    { kind: "mask", target: "/usr/share/secret", comment: null },
    { kind: "read-only", target: "/work/fixed", comment: null },
  ] as const;
  test("come last and in order", () => {
    const changes = { policy: { mounts }, request: { script: { hostPath: "/home/a/x.py", name: "x.py" } } };
    expect(filesystem(changes).slice(-6)).toEqual([
      "bind /data /srv/data readOnly+recursive",
      "bind /out /srv/out recursive+optional",
      "tmpfs /cache ownedByProgram",
      "mask /usr/share/secret optional",
      "readOnly /work/fixed",
      "bind /work/x.py /home/a/x.py readOnly+sourceIsFile",
    ]);
    const cache = compile(changes).plan.sandbox.filesystem.find(({ target }) => target === "/cache");
    expect(cache).toMatchObject({ sizeBytes: 67_108_864n, inodes: 16_384n, mode: 0o700 });
    expect(writableVolumes({ ...policy, mounts })).toEqual(["/srv/out:/out"]);
  });
  test("parents before what stands in them: nothing is hidden by a later one, and the rest keeps its order", () => {
    const of = (kind: "bind" | "mask" | "read-only", target: string): ResolvedMount =>
      kind === "bind"
        ? { kind, source: "/srv", target, access: "read-only", optional: false, comment: null }
        : { kind, target, comment: null };
    const order = (...given: readonly ResolvedMount[]): readonly string[] =>
      filesystem({ policy: { mounts: given } })
        .slice(-given.length)
        .map((line) => line.split(" ")[1] ?? "");
    const binds = (...targets: readonly string[]) => order(...targets.map((target) => of("bind", target)));
    expect(binds("/d/sub", "/d")).toEqual(["/d", "/d/sub"]);
    expect(binds("/x", "/d/a/b", "/d/c", "/y", "/d/a", "/d", "/dd")).toEqual(["/x", "/d", "/d/a", "/d/a/b", "/d/c", "/y", "/dd"]);
    expect(binds("/b", "/a", "/a-b")).toEqual(["/b", "/a", "/a-b"]);
    expect(order(of("bind", "/d/sub"), of("mask", "/d"))).toEqual(["/d", "/d/sub"]);
    // It covers nothing, and a mount point beneath could not be made after it.
    expect(order(of("bind", "/work/sub"), of("read-only", "/work"))).toEqual(["/work/sub", "/work"]);
  });
  test("a tmpfs never has all inodes of the machine", () => {
    const small = { kind: "tmpfs", target: "/c", sizeBytes: 1, inodes: null, mode: 0o755, comment: null } as const;
    const own = { ...small, inodes: 3 };
    const inodesOf = (mount: typeof small | typeof own) => compile({ policy: { mounts: [mount] } }).plan.sandbox.filesystem.at(-1)?.inodes;
    expect([inodesOf(small), inodesOf(own)]).toEqual([1024n, 3n]);
  });
  test.each(["/", "//", "/./", "data", "/data/../etc", ""])("target '%s' is refused", (target) => {
    const error = errorOf(() => compile({ policy: { mounts: [{ kind: "mask", target, comment: null }] } }));
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toContain("mount target");
  });
  test("a relative source is refused", () => {
    const error = errorOf(() => compile({ policy: { mounts: [{ ...mounts[0], source: "srv" }] } }));
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toContain("mount source 'srv'");
  });
  test.each(["", ".", "..", "a/b", "a\0b"])("script name '%s' is refused", (name) => {
    expect(errorOf(() => compile({ request: { script: { hostPath: "/x", name } } })).code).toBe("usage");
  });
  test("files to copy in never land in a folder mounted on /work", () => {
    const volume = { ...mounts[1], target: "/work" };
    const filesIn = [{ hostPath: "/a", target: "a", mode: 0o644 }];
    expect(errorOf(() => compile({ policy: { mounts: [volume] }, request: { filesIn } })).code).toBe("usage");
    expect(compile({ policy: { mounts: [volume] } }).plan.sandbox.filesystem.at(-1)?.target).toBe("/work");
    expect(compile({ request: { filesIn } }).plan.exec.filesIn).toEqual(filesIn);
  });
});

describe("what is not built yet says so", () => {
  test.each([["a writable root", { rootfs: { kind: "host", writable: true, overlay: "auto" } }, "rootfs.writable"]] as const)(
    "%s",
    (_name, change, words) => {
      const error = errorOf(() => compile({ policy: change }));
      expect(error.code).toBe("not-supported");
      expect(error.message).toContain(words);
    },
  );
  test("facts that were not probed are our own mistake", () => {
    expect(errorOf(() => compile({ facts: { ...facts, hostRootfs: null } })).code).toBe("internal");
  });
});
