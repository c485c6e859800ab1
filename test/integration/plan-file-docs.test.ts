// The examples of docs/plan-file.md work as they stand.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar } from "../helpers/belljar.ts";
import { compileFile } from "../helpers/compile.ts";
import { launcherPath } from "../helpers/launcher.ts";
import { root, tempDir } from "../helpers/places.ts";

const page = readFileSync(join(root, "docs/plan-file.md"), "utf8");
const example = (language: string): string => new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "m").exec(page)?.[1] ?? "";

/** A folder with the plan, and a PATH that has the launcher. */
async function folderWithPlan(): Promise<{ readonly cwd: string; readonly env: Record<string, string | undefined> }> {
  const cwd = tempDir("plan-docs");
  mkdirSync(join(cwd, "bin"));
  symlinkSync(launcherPath, join(cwd, "bin/belljar-launch"));
  const { code, stderr } = await belljar(["profile", "compile", "judge", "-o", join(cwd, "judge.plan")]);
  expect(code, stderr).toBe(0);
  return { cwd, env: { ...process.env, PATH: `${join(cwd, "bin")}:${process.env["PATH"]}` } };
}

const bounds = { encoding: "utf8", timeout: 30_000, killSignal: "SIGKILL" } as const;

needs("userns", "python3")("in Python", async () => {
  const given = await folderWithPlan();
  expect(execFileSync("python3", ["-c", example("python")], { ...given, ...bounds })).toBe("ok 42\n\n");
});

needs("userns")("in C", async () => {
  const given = await folderWithPlan();
  const file = (name: string, text: string): string => {
    writeFileSync(join(given.cwd, name), text);
    return join(given.cwd, name);
  };
  copyFileSync(
    compileFile(file("cat.c", "#include <stdio.h>\nint main(void) { int c; while ((c = getchar()) >= 0) putchar(c); return 5; }\n")),
    join(given.cwd, "a.out"),
  );
  file("in.txt", "through the program");
  expect(execFileSync(compileFile(file("judge.c", example("c"))), { ...given, ...bounds })).toBe("5\n");
  expect(readFileSync(join(given.cwd, "out.txt"), "utf8")).toBe("through the program");
  expect(JSON.parse(readFileSync(join(given.cwd, "report.json"), "utf8"))).toMatchObject({ verdict: "exit-nonzero", exitCode: 5 });
});
