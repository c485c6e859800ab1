// What `npm pack` ships must be all that the command and the library need: they run from the unpacked package, without node_modules.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar } from "../helpers/belljar.ts";
import { makeRootfs } from "../helpers/image-tools.ts";
import { root, tempDir } from "../helpers/places.ts";

const npm = join(process.execPath, "../npm");

function unpackedPackage(folder: string): string {
  const options = {
    cwd: root,
    encoding: "utf8" as const,
    env: { ...process.env, HOME: folder, npm_config_cache: join(folder, "npm"), npm_config_update_notifier: "false" },
  };
  const [packed] = JSON.parse(execFileSync(npm, ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], options));
  execFileSync("tar", ["-xzf", join(folder, packed.filename), "-C", folder]);
  return join(folder, "package");
}

needs("userns")("the packed command runs programs and applies layers; the packed library runs programs", async () => {
  const folder = tempDir("package");
  const unpacked = unpackedPackage(folder);
  const program = [process.execPath, join(unpacked, "dist/belljar.js")];
  const { code, stdout, stderr } = await belljar(["run", "--", "echo", "from the package"], { program });
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "from the package\n", stderr: "" });

  const store = { XDG_DATA_HOME: join(folder, "data") };
  mkdirSync(join(folder, "image"));
  execFileSync("tar", ["-cf", join(folder, "image.tar"), "-C", makeRootfs(join(folder, "image")), "."]);
  const imported = await belljar(["image", "import", "-i", join(folder, "image.tar"), "packed:1"], { program, env: store });
  expect(imported.code, imported.stderr).toBe(0);
  const missing = await belljar(["run", "--image", "packed:1", "--", "/bin/nothing"], { program, env: store });
  expect({ code: missing.code, verdict: missing.report?.verdict }).toEqual({ code: 127, verdict: "start-failed" });

  writeFileSync(
    join(folder, "use.mjs"),
    `import { run } from ${JSON.stringify(join(unpacked, "dist/api.mjs"))};\nconsole.log((await run({ command: ["echo", "library"] })).stdout);`,
  );
  const library = await belljar([], { program: [process.execPath, join(folder, "use.mjs")] });
  expect({ code: library.code, stdout: library.stdout, stderr: library.stderr }).toEqual({ code: 0, stdout: "library\n\n", stderr: "" });
});
