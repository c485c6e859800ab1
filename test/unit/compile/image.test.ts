import { describe, expect, test } from "vitest";
import { applyImage, imageCommand } from "../../../policy/compile/image.ts";
import type { ImageConfig, ImageFacts, LayeredRootfsFacts, RunRequest } from "../../../policy/compile/types.ts";
import type { ResolvedPolicy } from "../../../policy/profile/types.ts";
import { compile, errorOf, facts, filters, policy, request } from "./fixtures.ts";

const config: ImageConfig = {
  entrypoint: ["/entry", "-x"],
  command: ["serve"],
  env: ["PATH=/app/bin", "LANG=de_DE", "EMPTY=", "A=B=C", "NONAME", "=x"],
  workdir: "/app",
  stopSignal: "",
};
const image: ImageFacts = { name: "docker.io/library/app:1@sha256:00", config, user: { uid: 33, gid: 33, groups: [7] } };
const rootfs = { kind: "image", reference: "app:1", writable: true, overlay: "auto" } as const;
const layered: LayeredRootfsFacts = {
  layers: ["/store/a", "/store/b"],
  driver: "kernel",
  fuseOverlayfs: "/usr/bin/fuse-overlayfs",
  apply: "/opt/belljar-apply",
  image,
};
const sandboxOf = (
  change: Partial<LayeredRootfsFacts>,
  policyChange: Partial<ResolvedPolicy> = {},
  requestChange: Partial<RunRequest> = {},
) =>
  compile({
    policy: { rootfs, ...policyChange },
    facts: { hostRootfs: null, layeredRootfs: { ...layered, ...change } },
    request: requestChange,
  }).plan.sandbox;

describe("the /dev of an image", () => {
  const targets = (writable: boolean) =>
    sandboxOf({}, { rootfs: { ...rootfs, writable } })
      .filesystem.filter(({ target }) => target.startsWith("/dev"))
      .map(({ kind, target }) => `${kind} ${target}`);
  test("is read-only with the root, but not what programs write to in it", () => {
    const all = targets(false);
    const sealed = all.indexOf("readOnly /dev");
    expect(all[0]).toBe("scratch /dev");
    expect(sealed).toBeGreaterThan(0);
    expect(all.slice(sealed + 1)).toEqual(["devpts /dev/pts", "scratch /dev/shm"]);
  });
  test("is writable with the root", () => expect(targets(true)).not.toContain("readOnly /dev"));
});

describe("the command of an image", () => {
  test.each([
    [[], null, ["/entry", "-x", "serve"]],
    [["a", "b"], null, ["/entry", "-x", "a", "b"]],
    [["a"], [], ["a"]],
    [["a"], ["/other"], ["/other", "a"]],
    // The image's command belongs to the image's entry point.
    [[], ["/other"], ["/other"]],
  ] as const)("%j with entry point %j", (command, entrypoint, argv) => {
    expect(imageCommand(config, { command, entrypoint })).toEqual(argv);
  });
  test.each([
    ["none", { ...config, entrypoint: [], command: [] }, null],
    ["an empty one", { ...config, entrypoint: [""] }, null],
    ["an entry point taken away", config, []],
  ] as const)("nothing to run: %s", (_what, broken, entrypoint) => {
    expect(errorOf(() => imageCommand(broken, { command: [], entrypoint })).code).toBe("usage");
  });
});

describe("what an image asks for", () => {
  const apply = (own: readonly string[] = [], more: Partial<Parameters<typeof applyImage>[0]> = {}) =>
    applyImage({
      policy,
      request,
      image,
      optionUser: false,
      provenance: Object.fromEntries(own.map((path) => [path, "option --set"])),
      ...more,
    });

  test("goes before belljar's own profiles", () => {
    const applied = apply();
    expect(applied.policy.process).toMatchObject({
      workdir: "/app",
      env: { PATH: "/app/bin", LANG: "de_DE", EMPTY: "", A: "B=C" },
    });
    expect(Object.keys(applied.policy.process.env).sort()).toEqual(["A", "EMPTY", "LANG", "PATH"]);
    expect(applied.request.user).toEqual({ uid: 33, gid: 33, groups: [7] });
  });
  test("and behind the user's own", () => {
    const applied = apply(["process.env.LANG", "process.workdir", "user.uid"]);
    expect(applied.policy.process).toMatchObject({ workdir: "/work", env: { LANG: "C.UTF-8", PATH: "/app/bin" } });
    expect(applied.request.user).toBeNull();
  });
  test("whoever option --user names is it", () => {
    expect(apply(["user.uid"], { optionUser: true }).request.user).toMatchObject({ uid: 33 });
  });
  test.each([
    ["a script", { script: { hostPath: "/h/x.py", name: "x.py" } }],
    ["files", { filesIn: [{ hostPath: "/h/x", target: "x", mode: 0o644 }] }],
  ] as const)("%s in /work is found there", (_what, change) => {
    expect(apply([], { request: { ...request, ...change } }).policy.process.workdir).toBe("/work");
  });
  test.each(["", "/"])("the working directory %j says nothing", (workdir) => {
    expect(apply([], { image: { ...image, config: { ...config, workdir } } }).policy.process.workdir).toBe("/work");
  });
  test("one that is not absolute is an error of the image", () => {
    expect(errorOf(() => apply([], { image: { ...image, config: { ...config, workdir: "app" } } })).code).toBe("image-invalid");
  });
});

describe("a root of layers", () => {
  test("by the kernel", () => {
    expect(sandboxOf({})).toMatchObject({ rootKind: "overlay", rootLayers: ["/store/a", "/store/b"], rootReadOnly: false, companions: [] });
  });
  test("by fuse-overlayfs, highest layer first", () => {
    const { rootKind, companions } = sandboxOf({ driver: "fuse-overlayfs" });
    expect(rootKind).toBe("fuse");
    expect(companions).toMatchObject([{ namespaces: ["user", "mount", "network"], fuse: true, filter: filters.base }]);
    // It may read the layers and write where the upper directory is, and nothing else of the host's but programs.
    const access = (path: string) => companions[0]?.landlock.find((rule) => rule.path === path)?.access;
    expect([access("/store/a"), access("/sys/parts"), access("/"), access("/home")]).toEqual([
      0b1101n,
      (1n << 16n) - 1n,
      undefined,
      undefined,
    ]);
    expect(companions[0]?.argv[3]).toBe(
      "lowerdir=/sys/parts/layers/1:/sys/parts/layers/0,upperdir=/sys/parts/upper,workdir=/sys/parts/overlay",
    );
  });
  test("by copying", () => {
    const { rootKind, companions } = sandboxOf({ driver: "copy" });
    expect(rootKind).toBe("copy");
    expect(companions).toMatchObject([{ argv: ["/opt/belljar-apply", "merge", "/sys/root", "/sys/parts/layers", "2"], ready: "byte" }]);
  });
  test("the image's /dev is covered, and read-only where the root is", () => {
    const of = (writable: boolean) => sandboxOf({}, { rootfs: { ...rootfs, writable } });
    expect(
      of(true)
        .filesystem.filter(({ target }) => target === "/dev")
        .map(({ kind }) => kind),
    ).toEqual(["scratch"]);
    expect(
      of(false)
        .filesystem.filter(({ target }) => target === "/dev")
        .map(({ kind }) => kind),
    ).toEqual(["scratch", "readOnly"]);
    // Whether or not it is: devices can be written, and nothing made there by Landlock's leave.
    for (const writable of [true, false])
      expect(of(writable).landlock.find(({ path }) => path === "/dev")?.access).toBe((1n << 15n) | (1n << 14n) | 0b1111n);
  });
  test("Landlock lets a writable root be written, and no other", () => {
    const root = (writable: boolean) => sandboxOf({}, { rootfs: { ...rootfs, writable } }).landlock[0];
    expect(root(true)).toMatchObject({ path: "/", access: (1n << 16n) - 1n });
    expect(root(false)).toMatchObject({ path: "/", access: 0b1101n });
  });
  test("the network's files are ours, the host's resolver lies on a file of ours", () => {
    const etc = sandboxOf({}, { network: { mode: "host" } }).filesystem.filter(({ target }) => target.startsWith("/etc/"));
    expect(etc.map(({ kind, target }) => `${kind} ${target}`)).toEqual([
      "file /etc/hosts",
      "file /etc/hostname",
      "file /etc/resolv.conf",
      "bind /etc/resolv.conf",
    ]);
  });
  test("a working directory that the image lacks is made", () => {
    expect(sandboxOf({}, {}, { cwd: "/srv/app" }).filesystem.at(-1)).toMatchObject({
      kind: "directory",
      target: "/srv/app",
      flags: ["optional"],
    });
  });
  test("a directory may seem writable: it is a layer", () => {
    const { rootKind, rootLayers } = sandboxOf(
      { layers: ["/srv/r"], image: null },
      { rootfs: { kind: "directory", path: "/srv/r", writable: true, overlay: "auto" } },
    );
    expect([rootKind, rootLayers]).toEqual(["overlay", ["/srv/r"]]);
  });
  test.each([
    ["no layers", { layers: [] }, "image-invalid"],
    ["more than overlayfs takes", { layers: Array.from({ length: 501 }, (_, i) => `/s/${i}`) }, "not-supported"],
    ["a driver whose program is missing", { driver: "fuse-overlayfs", fuseOverlayfs: null }, "guard-unavailable"],
  ] as const)("refused: %s", (_what, change, code) => {
    expect(errorOf(() => sandboxOf(change)).code).toBe(code);
  });
  test("supplementary groups are given where there are ids for them", () => {
    const user = { uid: 33, gid: 33, groups: [7, 70_000] };
    const range = [{ start: 100_000, count: 1000 }];
    const subordinate = { uids: range, gids: range, newuidmap: "/usr/bin/newuidmap", newgidmap: "/usr/bin/newgidmap" };
    const groups = (mode: "single" | "subordinate") =>
      compile({ policy: { user: { ...policy.user, mode } }, facts: { subordinate }, request: { user } }).plan.exec.groups;
    expect([groups("single"), groups("subordinate")]).toEqual([[], [7]]);
    expect(facts.layeredRootfs).toBeNull();
  });
});
