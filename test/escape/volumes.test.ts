// What is shown read-only must stay so, by whatever way it is reached.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import {
  attackDir,
  attackInSandbox,
  attackOutside,
  attackProgram,
  attackTest,
  Tries,
  volumeOf,
  withoutSeccomp,
} from "../helpers/attack.ts";
import { belljar } from "../helpers/belljar.ts";
import { plantCanary } from "../helpers/canary.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-files";

attackTest("writes to a file of a read-only volume", {
  program,
  args: ["write", "/data/file", "truncate", "/data/file", "append", "/data/file"],
  run: (canary) => ["-v", `${canary.path}:/data/file`],
  refused: { write: "EROFS", truncate: "EROFS", append: "EROFS" },
  control: {
    run: () => ["-v", `${writableFile()}:/data/file2:rw`],
    args: ["write", "/data/file2", "truncate", "/data/file2", "append", "/data/file2"],
  },
});

attackTest("changes what a read-only volume holds", {
  program,
  args: ["create", "/data/new", "mkdir", "/data/dir", "chmod", "/data/.", "utimes", "/data/."],
  run: (canary) => ["-v", `${canary.dir}:/data`],
  refused: { create: "EROFS", mkdir: "EROFS", chmod: "EROFS", utimes: "EROFS" },
  control: {
    run: () => ["-v", `${tempDir("rw")}:/rw:rw`],
    args: ["create", "/rw/new", "mkdir", "/rw/dir", "chmod", "/rw/.", "utimes", "/rw/."],
  },
});

attackTest("changes the host's /usr", {
  program,
  // These files are root's, which is asked before the mount where a file is opened; the other calls ask the mount first.
  args: ["write", "/usr/bin/env", "create", "/usr/bin/pwned", "chmod", "/usr/bin/env", "unlink", "/usr/bin/env"],
  refused: { write: /^(EROFS|EACCES)$/, create: "EROFS", chmod: "EROFS", unlink: "EROFS" },
  succeeds: { write: "EACCES", create: "EACCES", chmod: "EPERM", unlink: "EACCES" },
  control: "outside",
});

attackTest("changes the root directory and what belljar made there", {
  program,
  args: [
    "create",
    "/pwned",
    "mkdir",
    "/etc/pwned",
    "write",
    "/etc/passwd",
    "create",
    "/dev/pwned",
    "unlink",
    "/dev/null",
    "chmod",
    "/etc/passwd",
  ],
  refused: { create: "EROFS", mkdir: "EROFS", write: /^(EROFS|EACCES)$/, unlink: "EROFS", chmod: "EROFS" },
  control: {
    run: () => [],
    args: ["create", "/work/pwned", "mkdir", "/work/dir", "write", "/work/pwned", "chmod", "/work/pwned", "unlink", "/work/pwned"],
  },
});

attackTest("makes a hard link to a file of a read-only volume and writes through it", {
  program,
  args: ["hardlink", "/data/file"],
  run: (canary) => ["-v", `${canary.path}:/data/file`],
  refused: { hardlink: "EXDEV" },
  control: { run: () => [], args: ["create", "/work/own", "hardlink", "/work/own"] },
  succeeds: { hardlink: "OK" },
});

needs("userns")("overwrites its own executable through a handle, once something else runs", async () => {
  const dir = tempDir("exe");
  chmodSync(dir, 0o755);
  const copy = join(dir, program);
  const fresh = (): Buffer => {
    copyFileSync(attackProgram(program), copy);
    chmodSync(copy, 0o777);
    return readFileSync(copy);
  };
  fresh();
  const outside = spawnSync(copy, ["own-executable", attackProgram("attack-stdio")], { encoding: "utf8", cwd: dir });
  expect(new Tries(outside.stdout).outcomes()).toMatchObject({ "write-0": "OK" });
  expect(readFileSync(copy).subarray(0, 5).toString()).toBe("PWNED");

  rmSync(copy);
  const before = fresh();
  const inside = await belljar([
    "run",
    "-v",
    `${dir}:/exe`,
    ...volumeOf("attack-stdio"),
    "--",
    `/exe/${program}`,
    "own-executable",
    `${attackDir}/attack-stdio`,
  ]);
  expect(new Tries(inside.stdout).outcomes()).toMatchObject({ "write-0": expect.stringMatching(/^(EROFS|EACCES)$/) });
  expect(readFileSync(copy).equals(before)).toBe(true);
});

needs("userns")("leaves a set-user-ID file of the caller's in a writable volume, for others on the host to run", async () => {
  const shared = (): string => tempDir("shared");
  const byMode = { "chmod-user": "OK", "chmod-group": "OK", "chmod-high": "OK", fchmodat: "OK", fchmodat2: "OK" };
  const born = { written: "EPERM", grown: "EPERM", allocated: "EPERM" };
  expect(attackOutside(program, ["set-id", shared()]).outcomes(), "control: outside").toEqual({ ...byMode, ...born });
  const lifted = await attackInSandbox(program, ["set-id", "/v"], { run: ["-v", `${shared()}:/v:rw`, ...withoutSeccomp()] });
  expect(lifted.tries.outcomes(), "control: no filter").toEqual({ ...byMode, ...born });
  for (const profile of ["default", "judge"]) {
    const dir = shared();
    const inside = await attackInSandbox(program, ["set-id", "/v"], { run: ["-v", `${dir}:/v:rw`, "-p", profile] });
    const refused = Object.fromEntries(Object.keys(byMode).map((name) => [name, "EPERM"]));
    expect(inside.tries.outcomes(), profile).toEqual({ ...refused, ...born });
    const found = readdirSync(dir).map((name) => (statSync(join(dir, name)).size > 0 ? statSync(join(dir, name)).mode & 0o6000 : 0));
    expect(found).toEqual([0, 0, 0, 0]);
  }
  // Other modes are nobody's business.
  const ordinary = ["sh", "-c", "touch f && chmod 1777 f && chmod 4000 f; stat -c %a f"];
  expect(await belljar(["run", "--", ...ordinary])).toMatchObject({ code: 0, stdout: "1777\n" });
});

needs("userns")("a volume inside a volume of the host stays as it was", async () => {
  const canary = plantCanary();
  const inside = await attackInSandbox(
    program,
    ["write", `/data/${canary.path.split("/").at(-1)}`, "rename", `/data/${canary.path.split("/").at(-1)}`],
    {
      run: ["-v", `${canary.dir}:/data`],
    },
  );
  expect(inside.tries.outcomes()).toEqual({ write: "EROFS", rename: "EXDEV" });
  expect(readdirSync(canary.dir)).toHaveLength(1);
  canary.check(inside.stdout, inside.stderr);
});

function writableFile(): string {
  return plantCanary().path;
}
