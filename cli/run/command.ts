import type { RunRequest } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { fileError } from "./files.ts";
import type { RunInput } from "./input.ts";
import { absoluteHostPath, workFolder } from "./paths.ts";
import { mayNameHostFile, readScriptHead, scriptKind, scriptName } from "./script.ts";

export interface ResolvedCommand {
  readonly argv: readonly string[];
  readonly script: RunRequest["script"];
  /** The command is a file of the caller's, or a copy of one. */
  readonly isHostScript: boolean;
}

/**
 * Decides what is executed. A host script becomes its interpreter (as its `#!` line, its format or its extension says) and
 * its place in the work folder; everything else is left to be looked up in the sandbox. A file that is copied in under the
 * same name is that copy. Throws BelljarError `start-failed`, `command-not-found`, `usage`.
 */
export function resolveCommand(
  input: Pick<RunInput, "command" | "script" | "hostScripts">,
  filesIn: RunRequest["filesIn"],
): ResolvedCommand {
  const [word, ...rest] = input.command;
  const path = input.script ?? (input.hostScripts && word !== undefined && mayNameHostFile(word) ? word : null);
  if (path === null) return { argv: input.command, script: null, isHostScript: false };
  const head = readScriptHead(path);
  if (head === null) {
    // As for a command that is not there, under whatever option it is named: status 127.
    if (input.script !== null) throw fileError("command-not-found", "reading the script", path, "no such file or directory");
    return { argv: input.command, script: null, isHostScript: false };
  }
  const name = scriptName(path);
  const hostPath = absoluteHostPath(path);
  const copied = filesIn.find((file) => file.target === name || file.target.startsWith(`${name}/`));
  if (copied !== undefined && (copied.hostPath !== hostPath || copied.target !== name)) {
    throw new BelljarError(
      "usage",
      `reading options: ${quoted(path)} and '--in' ${quoted(copied.hostPath)} would both be ${workFolder}/${name}`,
      {
        hint: `write ${workFolder}/${copied.target} to run the file that is copied in`,
      },
    );
  }
  const argv = [...scriptKind(path, head).interpreter, `${workFolder}/${name}`, ...(input.script === null ? rest : input.command)];
  return { argv, script: copied === undefined ? { hostPath, name } : null, isHostScript: true };
}
