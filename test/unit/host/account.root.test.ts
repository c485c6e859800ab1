// What only root can try: becoming somebody else. Each in a process of its own, since there is no way back.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../../helpers/places.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "belljar-account-"));
  const contents = `
    import { becomeOrdinary } from ${JSON.stringify(join(root, "cli/host/account.ts"))};
    const options = JSON.parse(process.argv[2]);
    try {
      const account = becomeOrdinary(options);
      const { HOME, USER, XDG_CONFIG_HOME, SUDO_USER } = process.env;
      let back = "refused";
      try { process.setuid(0); back = "root again"; } catch {}
      console.log(JSON.stringify({ account, ids: [process.getuid(), process.geteuid(), process.getgid(), process.getegid()], groups: process.getgroups(), HOME, USER, XDG_CONFIG_HOME, SUDO_USER, back, cwd: process.cwd() }));
    } catch (error) {
      console.log(JSON.stringify({ code: error.code, message: error.message, hint: error.hint }));
    }`;
  buildSync({
    stdin: { contents, resolveDir: root, loader: "ts" },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: join(folder, "become.mjs"),
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function become(options: unknown, cwd = "/") {
  const env = { PATH: "/usr/bin:/bin", HOME: "/root", USER: "root", XDG_CONFIG_HOME: "/root/.config", SUDO_USER: "x" };
  const { stdout, stderr } = spawnSync(process.execPath, [join(folder, "become.mjs"), JSON.stringify(options)], {
    encoding: "utf8",
    env,
    cwd,
  });
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

test("root becomes the named account for good", () => {
  const found = become({ runAs: "nobody" });
  expect(found).toMatchObject({ account: { name: "nobody", uid: 65534 }, USER: "nobody", back: "refused" });
  expect(found.ids).not.toContain(0);
  expect(found.groups).not.toContain(0);
  expect(found.HOME).toBe(found.account.home);
  expect(found.XDG_CONFIG_HOME).toBeUndefined();
  expect(found.SUDO_USER).toBeUndefined();
});

test("--run-as comes before the configured account", () => {
  expect(become({ runAs: "nobody", configured: "daemon" })).toMatchObject({ USER: "nobody" });
  expect(become({ configured: "daemon" })).toMatchObject({ USER: "daemon" });
});

test.each([
  [{}, "belljar does not run programs as root"],
  [{ runAs: "root" }, "'root': is root"],
  [{ runAs: "0" }, "'0': is root"],
  [{ runAs: "no-such-account" }, "there is no such account"],
  [{ runAs: "a\u001b[31m" }, "'a\\x1b[31m': there is no such account"],
])("root is refused with %j", (options, words) => {
  expect(become(options)).toMatchObject({
    code: "root-refused",
    message: expect.stringContaining(words),
    hint: expect.stringContaining("--run-as USER"),
  });
});

test("a working directory that the account cannot enter", () => {
  const closed = mkdtempSync(join(tmpdir(), "belljar-closed-"));
  try {
    expect(become({ runAs: "nobody" }, closed)).toMatchObject({ code: "root-refused", message: expect.stringContaining(closed) });
    expect(become({ runAs: "nobody", workingDirectory: "any" }, closed)).toMatchObject({ USER: "nobody", cwd: "/" });
  } finally {
    rmSync(closed, { recursive: true });
  }
});
