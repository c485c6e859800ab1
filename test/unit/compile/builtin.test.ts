import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { compilePlan } from "../../../policy/compile/index.ts";
import { builtinProfiles, loadBuiltin, resolveProfile } from "../../../policy/profile/index.ts";
import type { ResolvedPolicy } from "../../../policy/profile/types.ts";
import { decodePart, dumpPlan, encodeExec, encodeSandbox } from "../../../policy/wire/index.ts";
import { cgroup2, errorOf, facts, filters, request } from "./fixtures.ts";

const range = [{ start: 100_000, count: 65_536 }];
const subordinate = { uids: range, gids: range, newuidmap: "/usr/bin/newuidmap", newgidmap: "/usr/bin/newgidmap" };

function resolve(name: string): ResolvedPolicy {
  const load = (ref: string) => {
    const loaded = loadBuiltin(ref);
    if (loaded === null) throw new Error(`no built-in profile ${ref}`);
    return loaded;
  };
  return resolveProfile(name, { load }).policy;
}

/** What every built-in profile means on one made-up host; `vitest -u` accepts a deliberate change. */
describe.each(Object.keys(builtinProfiles))("built-in profile %s", (name) => {
  const asWritten = resolve(name);
  // The profile for images has a writable root, which only an image will be able to give.
  const policy = { ...asWritten, rootfs: { ...asWritten.rootfs, writable: false } };
  const compile = () => compilePlan({ policy, facts: { ...facts, cgroup: cgroup2, subordinate }, request, filters });

  test("compiles to the plan of the snapshot, without a warning", async () => {
    const { plan, warnings } = compile();
    expect(warnings).toEqual([]);
    const snapshot = fileURLToPath(new URL(`../../fixtures/plans/profiles/${name}.json`, import.meta.url));
    await expect(`${JSON.stringify(dumpPlan(plan), null, 2)}\n`).toMatchFileSnapshot(snapshot);
  });
  test("to the same bytes every time, which the launcher's rules accept", () => {
    const { sandbox, exec } = compile().plan;
    expect(encodeSandbox(compile().plan.sandbox)).toEqual(encodeSandbox(sandbox));
    expect(decodePart(encodeSandbox(sandbox))).toEqual({ kind: "sandbox", plan: sandbox });
    expect(decodePart(encodeExec(exec))).toEqual({ kind: "exec", plan: exec });
  });
  test("isolates: no namespace is shared, nothing of the host is writable, Landlock and seccomp are on", () => {
    const { plan, enforcement } = compile();
    expect(plan.sandbox.namespaces).toEqual(["user", "mount", "pid", "ipc", "uts", "cgroup", "network"]);
    expect(plan.sandbox).toMatchObject({ rootReadOnly: true, userNamespaces: "deny", landlockWanted: true });
    const writableBinds = plan.sandbox.filesystem.filter(({ kind, flags }) => kind === "bind" && !flags.includes("readOnly"));
    expect(writableBinds).toEqual([]);
    expect(enforcement).toMatchObject({ seccomp: "enforced", landlock: "enforced" });
  });
});

test("the profile for images is refused where its writable root cannot be given", () => {
  const error = errorOf(() => compilePlan({ policy: resolve("image"), facts: { ...facts, subordinate }, request, filters }));
  expect([error.code, error.message.includes("rootfs.writable")]).toEqual(["not-supported", true]);
});
