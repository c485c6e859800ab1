/**
 * Text that a program, an image or a file name brought along must not steer the terminal that it is printed on.
 * Control characters become visible escapes instead of vanishing, so that two names never look the same.
 */

// C0 and DEL, C1, soft hyphen, Arabic letter mark, zero-width and direction marks, line and paragraph separators,
// embeddings, overrides and isolates, byte order mark, annotation marks, tag characters, lone surrogates.
const unsafe =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is the purpose
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

function escapeOne(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\r") return "\\r";
  if (character === "\t") return "\\t";
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

/** One line of text without any character that moves, hides or recolours what a terminal shows. */
export function printable(text: string): string {
  return text.replace(unsafe, escapeOne);
}

/**
 * The same for a list of problems, whose lines but the first begin with two spaces: these line feeds stay. A stranger's line feed within a
 * name can at most look like such a line, never like one of ours.
 */
export function printableLines(text: string): string {
  return text
    .split(/\n(?= {2})/)
    .map(printable)
    .join("\n");
}

/** `'thing'`, safe to print. */
export function quoted(thing: string): string {
  return `'${printable(thing)}'`;
}
