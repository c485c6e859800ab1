import { isAbsolute } from "node:path";
import { nearestName } from "../../policy/profile/problems.ts";
import { type HostFiles, hostFiles } from "../host/host-files.ts";
import { interpreters, outsideTool, toolHint } from "../host/toolpaths.ts";
import { printable } from "../output/terminal.ts";
import { mayNameHostFile } from "./script.ts";

export interface MissingProgram {
  /** As asked for. */
  readonly word: string;
  /** What was to be executed: the word itself, or a script's interpreter. */
  readonly program: string;
  /** The word comes from the host's own user, who may be told what files there are. */
  readonly hostScripts: boolean;
}

/** Often typed, and where a name that is nearly theirs is a slip. */
const oftenMeant = [...interpreters, "python", "bash", "sh", "gcc", "g++", "make", "echo", "cat", "ls", "env"] as const;

const isFile = (files: HostFiles, path: string): boolean => files.stat(path)?.isFile() === true;

function slip(files: HostFiles, word: string): string | null {
  const guess = nearestName(word, oftenMeant);
  const there = guess !== null && guess !== word && ["/usr/bin", "/bin"].some((dir) => isFile(files, `${dir}/${guess}`));
  return there ? `did you mean '${guess}'?` : null;
}

/** What is known about a program that the sandbox does not have, each told only after a look at the host; null where nothing is. */
export function missingHint(
  { word, program, hostScripts }: MissingProgram,
  files: HostFiles = hostFiles(),
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string | null {
  const outside = outsideTool(files, program, environment);
  if (outside !== null) return toolHint(outside);
  const shown = printable(word);
  if (program !== word) return `${shown} asks for it; --volume and --env PATH=... can bring an interpreter`;
  if (!hostScripts) return null;
  if (mayNameHostFile(word)) return `there is no ${shown} on the host either; a host script is named relative to the current folder`;
  if (isAbsolute(word)) {
    return isFile(files, word)
      ? `${shown} is there on the host only, and absolute paths are of the sandbox: --script ${shown} runs a host file, -v shows a folder`
      : null;
  }
  return isFile(files, word) ? `did you mean './${shown}'? Without a slash it is searched by PATH in the sandbox` : slip(files, word);
}
