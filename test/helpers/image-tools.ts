import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { belljarCommand } from "./belljar.ts";

export interface Tools {
  /** Runs `belljar image …`; stdout. Throws with its stderr when it fails. */
  image(...args: readonly string[]): string;
  /** The same with bytes for stdin. */
  imageFrom(input: Uint8Array, ...args: readonly string[]): string;
  /** Any other program. */
  run(program: string, ...args: readonly string[]): string;
  /** The layout of the store. */
  readonly layout: string;
}

const maxBuffer = 64 * 1024 * 1024;

/** Commands with a home of their own, below `folder`. */
export function toolsIn(folder: string): Tools {
  const env = {
    PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    HOME: folder,
    XDG_DATA_HOME: join(folder, "data"),
    XDG_RUNTIME_DIR: folder,
    TMPDIR: folder,
    LANG: "C.UTF-8",
  };
  const [node = "", script = ""] = belljarCommand;
  const call = (program: string, args: readonly string[], input?: Uint8Array): string =>
    execFileSync(program, args, {
      cwd: folder,
      env,
      encoding: "utf8",
      maxBuffer,
      stdio: ["pipe", "pipe", "pipe"],
      ...(input === undefined ? {} : { input }),
    });
  return {
    image: (...args) => call(node, [script, "image", ...args]),
    imageFrom: (input, ...args) => call(node, [script, "image", ...args], input),
    run: (program, ...args) => call(program, args),
    layout: join(folder, "data/belljar/images"),
  };
}

/** A root file system that is small and has something of everything. */
export function makeRootfs(folder: string): string {
  const path = join(folder, "rootfs");
  for (const name of ["bin", "etc", "tmp", "usr/lib"]) mkdirSync(join(path, name), { recursive: true });
  writeFileSync(join(path, "bin/tool"), "#!/bin/sh\necho tool\n", { mode: 0o755 });
  symlinkSync("usr/lib", join(path, "lib"));
  writeFileSync(join(path, "etc/passwd"), "root:x:0:0::/:/bin/sh\n");
  writeFileSync(join(path, "usr/lib/data"), Buffer.alloc(300_000, "data"));
  chmodSync(join(path, "tmp"), 0o1777);
  return path;
}
