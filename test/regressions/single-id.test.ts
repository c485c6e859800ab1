// Kind of fault: with one mapped id, calls about groups and other users fail in a way that nobody expects.
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, profileFile } from "../helpers/attack.ts";
import { belljar, belljarRun } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

const id = async (...run: readonly string[]) =>
  (await belljarRun([...run, "--", "sh", "-c", "id -u; id -g; id -un; id -G"])).stdout.trim().split("\n");

needs("userns")("id: the profile's user and its own group, by name", async () => {
  const [uid, gid, name, groups] = await id();
  expect([uid, gid, name]).toEqual(["1000", "1000", "belljar"]);
  // Supplementary groups of the caller's cannot be dropped without a map for them: the kernel shows them as the overflow group.
  expect(new Set(groups?.split(" "))).toEqual(new Set(["1000", ...(groups?.includes("65534") ? ["65534"] : [])]));
});

needs("userns")("-u: numbers, a name, a name that there is not", async () => {
  expect((await id("-u", "0:0")).slice(0, 3)).toEqual(["0", "0", "root"]);
  expect((await id("-u", "1234:4321")).slice(0, 2)).toEqual(["1234", "4321"]);
  expect((await id("-u", "nobody")).slice(0, 2)).toEqual(["65534", "65534"]);
  const result = await belljar(["run", "-u", "nosuch", "--", "id"], { report: false });
  expect(result.code).toBe(125);
  expect(result.stderr).toContain("'nosuch'");
});

needs("userns")("what it writes to a writable volume belongs to the caller, whatever its id inside", async () => {
  for (const user of ["1000", "0", "4242:4242"]) {
    const dir = tempDir("rw");
    await belljarRun(["-u", user, "-v", `${dir}:/rw:rw`, "--", "sh", "-c", "echo x > /rw/f"]);
    expect(statSync(join(dir, "f")).uid).toBe(process.getuid?.());
    expect(statSync(join(dir, "f")).gid).toBe(process.getgid?.());
  }
});

needs("userns")("setgroups and setgid are refused with EPERM and EINVAL, not with success", async () => {
  const { tries } = await attackInSandbox("attack-privilege", ["ids"]);
  expect(tries.outcomes()).toMatchObject({ "setgroups-none": "EPERM", "setgid-0": expect.stringMatching(/^(EINVAL|EPERM)$/) });
});

needs("userns", "subids")("with subordinate ids a program given the capabilities may change ids and groups", async () => {
  const profile = profileFile({
    user: { mode: "subordinate", uid: 0, gid: 0 },
    capabilities: ["CAP_SETUID", "CAP_SETGID"],
    comments: { capabilities: "package managers and su" },
  });
  const { tries } = await attackInSandbox("attack-privilege", ["ids"], { run: ["-p", profile] });
  expect(tries.outcomes()).toMatchObject({ "setuid-1": "OK", setgroups: "OK", "setgroups-none": "OK" });
});

needs("userns", "subids")("with subordinate ids, a program under another id", async () => {
  const profile = profileFile({ user: { mode: "subordinate", uid: 1000, gid: 1000 } });
  const result = await belljarRun(["-p", profile, "--", "sh", "-c", "id -u; id -g; echo x > f && stat -c %u f"]);
  expect(result.stdout).toBe("1000\n1000\n1000\n");
  expect(result.report.sandbox.user).toBe("subordinate");
});

needs("userns")("a file of the caller's that others may not read: readable, for it is the caller who reads", async () => {
  const dir = tempDir("own");
  writeFileSync(join(dir, "f"), "own\n", { mode: 0o600 });
  chmodSync(dir, 0o700);
  expect((await belljarRun(["-v", `${dir}:/d`, "--", "cat", "/d/f"])).stdout).toBe("own\n");
  expect(readFileSync(join(dir, "f"), "utf8")).toBe("own\n");
});
