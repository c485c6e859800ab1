// Names of images of the store behind -i, in the shell that asks for them.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { belljarCommand } from "../../helpers/belljar.ts";
import { imageHome, runnableImage } from "../../helpers/run-image.ts";
import { directory } from "../../helpers/tar-writer.ts";

/** The line as bash hands it to the function of the script: words broken at ":", and behind them what is to be replaced. */
function inBash(env: Readonly<Record<string, string>>, words: readonly string[], replaced: string): readonly string[] {
  const script = `belljar() { ${belljarCommand.map((word) => `'${word}'`).join(" ")} "$@"; }
source <(belljar completion bash)
replaced=$1; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_belljar_yargs_completions belljar "$replaced" "\${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["-c", script, "bash", replaced, ...words], {
    encoding: "utf8",
    timeout: 30_000,
    killSignal: "SIGKILL",
    env: { PATH: "/usr/bin:/bin", HOME: "/nowhere", ...env },
  });
  expect(status, stderr).toBe(0);
  return stdout.trim().split("\n").sort();
}

test("bash is given names, tags, and what follows its breaks", async () => {
  const home = imageHome();
  const image = runnableImage([Buffer.concat([directory("bin"), Buffer.alloc(1024)])]);
  await home.addAll({ "t/debian:12": image, "t/debian:13": image, "localhost:5000/x:1": image });
  const names = ["localhost:5000/x:1", "t/debian:12", "t/debian:13"];
  expect(inBash(home.env, ["belljar", "run", "-i", ""], "")).toEqual(names);
  expect(inBash(home.env, ["belljar", "run", "-q", "--image", "t/d"], "t/d")).toEqual(names.slice(1));
  expect(inBash(home.env, ["belljar", "run", "-i", "t/debian", ":"], "")).toEqual(["12", "13"]);
  expect(inBash(home.env, ["belljar", "image", "rm", "t/debian", ":", "12"], "12")).toEqual(["12"]);
  // What is not an image's place stays as it was.
  expect(inBash(home.env, ["belljar", "run", "-p", "ju"], "ju")).toEqual(["judge"]);
  expect(inBash(home.env, ["belljar", "image", "in"], "in")).toEqual(["inspect"]);
  // Without a store there is nothing to name, and none is made.
  const none = `${home.folder}/none`;
  expect(inBash({ XDG_DATA_HOME: none }, ["belljar", "run", "-i", ""], "")).toEqual([""]);
  expect(existsSync(none)).toBe(false);
});
