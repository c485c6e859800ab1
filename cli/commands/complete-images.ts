import { defaultStoreRoot, storePaths } from "../image/layout.ts";
import { familiarReference, formatReference, parseReference } from "../image/reference.ts";
import { listReferences } from "../image/store-index.ts";

/** Where bash splits what is typed, so that "debian:12" comes as three words; the end of the last one alone is replaced. */
const breaks = /[:=@]/;
const breaksOnly = /^[:=@]+$/;

/** The words as they were typed. */
function joined(words: readonly string[]): readonly string[] {
  const whole: string[] = [];
  let joins = false;
  for (const word of words) {
    const isBreak = breaksOnly.test(word);
    if (whole.length > 0 && (isBreak || joins)) whole.push(`${whole.pop()}${word}`);
    else whole.push(word);
    joins = isBreak;
  }
  return whole;
}

const ofImages: readonly string[] = ["rm", "inspect", "save", "tag"];
const inlineOption = "--image=";

/** What has been typed of an image's name, or null where no such name is wanted. `words` begin with the command's own name. */
function imageBegun(words: readonly string[]): string | null {
  const current = words.at(-1) ?? "";
  const before = words.at(-2) ?? "";
  const [, command, subcommand] = words;
  if (command === "run" && !words.includes("--")) {
    if (current.startsWith(inlineOption)) return current.slice(inlineOption.length);
    return before === "-i" || before === "--image" ? current : null;
  }
  const wanted = command === "image" && words.length > 3 && ofImages.includes(subcommand ?? "") && !current.startsWith("-");
  return wanted && !before.startsWith("-o") && !["--output", "--format", "--run-as"].includes(before) ? current : null;
}

/** The names that can follow: short ones, and full ones when what was typed is the beginning of such. Only references: other tools write into the index too. */
function candidates(begun: string, names: readonly (string | null)[]): readonly string[] {
  const found = new Set<string>();
  for (const name of names) {
    try {
      const reference = parseReference(name ?? "");
      const spelled = [familiarReference(reference), formatReference(reference)].find((text) => text.startsWith(begun));
      if (spelled !== undefined) found.add(spelled);
    } catch {
      // no name that a command would take
    }
  }
  return [...found].sort();
}

/**
 * What the shell may put in the place of the last word, or null where no image is named. bash replaces only what follows its last break; zsh takes
 * whole words, with a description behind a colon.
 */
export function imageCompletions(
  words: readonly string[],
  names: readonly (string | null)[],
  shell: "bash" | "zsh",
): readonly string[] | null {
  const whole = shell === "zsh" ? words : joined(words);
  const begun = imageBegun(whole);
  if (begun === null) return null;
  const found = candidates(begun, names);
  if (shell === "zsh") {
    const option = (whole.at(-1) ?? "").startsWith(inlineOption) ? inlineOption : "";
    return found.map((name) => `${option}${name}`.replaceAll(":", "\\:"));
  }
  const cut = begun.length - (begun.split(breaks).at(-1) ?? "").length;
  return found.map((name) => name.slice(cut));
}

/** For the completion script's call. Nothing is made, and whatever cannot be read has no names. */
export async function completeImages(words: readonly string[]): Promise<readonly string[] | null> {
  // Only the script for zsh sets it.
  const shell = process.env["COMP_LINE"] === undefined ? "bash" : "zsh";
  if (imageCompletions(words, [], shell) === null) return null;
  try {
    const references = await listReferences(storePaths(defaultStoreRoot()));
    return imageCompletions(
      words,
      references.map(({ name }) => name),
      shell,
    );
  } catch {
    return [];
  }
}
