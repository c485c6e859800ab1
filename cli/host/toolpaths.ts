import { basename, delimiter, dirname, join } from "node:path";
import type { HostFiles } from "./host-files.ts";

/** Runtimes that people install beside the system's. */
export const interpreters = ["python3", "node", "java", "ruby", "perl", "php", "go", "deno", "bun", "lua"] as const;

const visible = /^\/(usr|bin|sbin|lib[a-z0-9]*)\//;
const programFolder = /^(s?bin|shims)$/;
const sandboxPath = "/usr/local/bin:/usr/bin:/bin";

export interface OutsideTool {
  readonly name: string;
  /** As found on PATH. */
  readonly path: string;
  /** The folder to show inside, and the one to put on PATH. */
  readonly folder: string;
  readonly binFolder: string;
}

function isProgram(files: HostFiles, path: string): boolean {
  const status = files.stat(path);
  return status?.isFile() === true && (status.mode & 0o111) !== 0;
}

/** The folder that holds a whole installation; never one with everything of the user's in it. */
function installationOf(binFolder: string, home: string | undefined): string {
  const above = dirname(binFolder);
  const tooMuch = [
    "/",
    "/opt",
    "/home",
    "/root",
    "/srv",
    "/var",
    "/tmp",
    home,
    ...(home === undefined ? [] : [join(home, ".local"), dirname(home)]),
  ];
  return programFolder.test(basename(binFolder)) && !tooMuch.includes(above) ? above : binFolder;
}

/**
 * The program that the caller's PATH finds first, when it lies where a sandbox on the host's /usr does not show it (nvm, pyenv,
 * /opt); null when it is visible inside or not found at all.
 */
export function outsideTool(files: HostFiles, name: string, environment: Readonly<Record<string, string | undefined>>): OutsideTool | null {
  if (name === "" || name.includes("/")) return null;
  for (const dir of (environment["PATH"] ?? "").split(delimiter)) {
    const path = join(dir, name);
    if (!dir.startsWith("/") || !isProgram(files, path)) continue;
    const real = files.real(path) ?? path;
    if (visible.test(`${path}`) && visible.test(real)) return null;
    // Shims and version managers work by the folder on PATH; a link from a visible folder by what it leads to.
    const binFolder = visible.test(path) ? dirname(real) : dir;
    const realBin = files.real(binFolder) ?? binFolder;
    return { name, path, folder: installationOf(realBin, environment["HOME"]), binFolder: realBin };
  }
  return null;
}

/** The options that show such a program inside. */
export function toolHint({ name, path, folder, binFolder }: OutsideTool): string {
  return `${name} of your PATH ('${path}') is outside /usr, which is all that the sandbox shows: add -v ${folder}:${folder} -e PATH=${binFolder}:${sandboxPath}`;
}
