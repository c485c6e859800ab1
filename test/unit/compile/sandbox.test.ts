import { describe, expect, test } from "vitest";
import { decodePart, encodeExec, encodeSandbox } from "../../../policy/wire/index.ts";
import { cgroup1, compile, errorOf } from "./fixtures.ts";

const read = 0b1101n;
const all = 0xffffn;
const writable = read | 2n | (1n << 14n);

describe("namespaces", () => {
  test("a network namespace unless the host's network is asked for", () => {
    expect(compile().plan.sandbox.namespaces).toEqual(["user", "mount", "pid", "ipc", "uts", "cgroup", "network"]);
    const shared = compile({ policy: { network: { mode: "host" } } });
    expect(shared.plan.sandbox.namespaces).not.toContain("network");
    expect(shared.plan.sandbox.network).toBe("host");
  });
});

describe("Landlock", () => {
  test("rules follow the mount table", () => {
    const { landlock, landlockWanted, landlockRequired } = compile().plan.sandbox;
    expect(landlock.map(({ path, access }) => [path, access])).toEqual([
      ["/", read],
      ["/var/tmp", all],
      ["/proc", writable],
      ["/dev", writable | (1n << 15n)],
      ["/dev/shm", all],
      ["/tmp", all],
      ["/work", all],
    ]);
    expect([landlockWanted, landlockRequired]).toEqual([true, false]);
    expect(compile({ policy: { landlock: { required: true } } }).plan.sandbox.landlockRequired).toBe(true);
  });
  test("a writable volume is writable, a read-only one on a writable place takes its rule away", () => {
    const volume = { kind: "bind", source: "/s", target: "/data", access: "read-write", optional: true, comment: "c" } as const;
    const { landlock } = compile({ policy: { mounts: [volume, { ...volume, target: "/tmp", access: "read-only" }] } }).plan.sandbox;
    expect(landlock.find(({ path }) => path === "/data")).toEqual({ path: "/data", access: all, optional: true });
    expect(landlock.map(({ path }) => path)).not.toContain("/tmp");
    expect(compile({ policy: { proc: "host-read-only" } }).plan.sandbox.landlock.map(({ path }) => path)).not.toContain("/proc");
  });
  test("nested sandboxes have none and cannot require it", () => {
    const result = compile({ policy: { namespaces: { user: "allow" } } });
    expect(result.plan.sandbox).toMatchObject({ landlock: [], landlockWanted: false, userNamespaces: "allow" });
    expect(result.enforcement["landlock"]).toBe("none");
    const error = errorOf(() => compile({ policy: { namespaces: { user: "allow" }, landlock: { required: true } } }));
    expect(error.code).toBe("profile-invalid");
  });
});

describe("the plan as a whole", () => {
  test("every plan encodes, and decodes to itself", () => {
    const script = { hostPath: "/home/a/x.py", name: "x.py" };
    for (const changes of [
      {},
      { request: { script, terminal: true } },
      { facts: { cgroup: cgroup1 } },
      { policy: { proc: "full", sys: "private" } },
    ] as const) {
      const { sandbox, exec } = compile(changes).plan;
      expect(decodePart(encodeSandbox(sandbox))).toEqual({ kind: "sandbox", plan: sandbox });
      expect(decodePart(encodeExec(exec))).toEqual({ kind: "exec", plan: exec });
    }
  });
  test("is deterministic", () => {
    expect(encodeSandbox(compile().plan.sandbox)).toEqual(encodeSandbox(compile().plan.sandbox));
  });
  test("without a profile filter seccomp is not called enforced", () => {
    expect(compile({ filters: { profile: new Uint8Array() } }).enforcement["seccomp"]).toBe("none");
    expect(compile().enforcement["seccomp"]).toBe("enforced");
  });
  test("a run id that cannot name a cgroup is our own mistake", () => {
    expect(errorOf(() => compile({ request: { runId: "../x" } })).code).toBe("internal");
  });
});
