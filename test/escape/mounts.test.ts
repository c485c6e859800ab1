// With CAP_SYS_ADMIN in the sandbox's own user namespace a program is the owner of its mounts, and the kernel locks none of them.
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutside, profileFile } from "../helpers/attack.ts";
import { belljar } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-mounts";
const attacks = ["mount-setattr", "remount", "umount", "open-tree", "fspick", "resize", "fsopen", "pivot-root"];
const all = (outcome: unknown): Record<string, unknown> => Object.fromEntries(attacks.map((name) => [name, outcome]));

function folderWithCanary(): string {
  const folder = tempDir("mounts");
  writeFileSync(join(folder, "canary"), "untouched");
  return folder;
}

function administrator(seccomp: "default" | "none"): readonly string[] {
  const comments = { capabilities: "the attack", ...(seccomp === "none" ? { "seccomp.extends": "the same" } : {}) };
  const user = { uid: 0, gid: 0 };
  return ["-p", profileFile({ user, capabilities: ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"], seccomp: { extends: seccomp }, comments })];
}

needs("userns")("undoes a read-only mount, a mask, the size of the scratch, with CAP_SYS_ADMIN", async () => {
  const [folder, scratch] = [folderWithCanary(), join(tempDir("scratch"), "in")];
  mkdirSync(scratch);
  const control = attackOutside(program, ["control", folder, scratch], { prefix: ["unshare", "-Urm"] }).outcomes();
  expect(control, "control: the owner of a mount namespace").toMatchObject({ "read-only": "EROFS", ...all("OK") });
  for (const seccomp of ["default", "none"] as const) {
    const inside = await attackInSandbox(program, ["attack", "/data", "/work"], {
      run: ["-v", `${folder}:/data`, ...administrator(seccomp)],
    });
    expect(inside.tries.outcomes(), `${seccomp}: ${inside.stderr}`).toEqual({
      "read-only": "EROFS",
      ...all("EPERM"),
      "open-tree-attr": "ENOSYS",
    });
    expect(inside.report).toMatchObject({ verdict: "ok" });
  }
  expect(statSync(join(folder, "canary")).size).toBe("untouched".length);
});

needs("userns")("undoes them where namespaces may be nested: refused with CAP_SYS_ADMIN, locked without", async () => {
  const folder = folderWithCanary();
  const nesting = { user: "allow", comment: "the attack" } as const;
  const both = profileFile({ namespaces: nesting, capabilities: ["CAP_SYS_ADMIN"], comments: { capabilities: "the attack" } });
  const refused = await belljar(["run", "-p", both, "--", "/bin/true"]);
  expect([refused.code, refused.stderr]).toEqual([
    125,
    expect.stringContaining('capabilities: must not hold CAP_SYS_ADMIN with namespaces.user "allow"'),
  ]);
  const allowed = profileFile({ namespaces: nesting });
  const own = await attackInSandbox(program, ["attack", "/data", "/work"], { run: ["-v", `${folder}:/data`, "-p", allowed] });
  const tries = own.tries.outcomes();
  for (const name of attacks) expect(tries[name], name).toBe("EPERM");
});
