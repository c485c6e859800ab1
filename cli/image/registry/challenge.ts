/** One way in which a server wants to be authenticated to. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

// RFC 9110, 5.6.2 and 11.2.
const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const token68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
const quotedString = /"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)"/y;
const equals = /[ \t]*=[ \t]*/y;
const spaces = /[ \t]+/y;
const separators = /(?:[ \t]*,)+[ \t]*/y;

const maxChallenges = 32;

/** Reads on from one place of a header. */
interface Cursor {
  take(pattern: RegExp): string | null;
  back(to: number): void;
  readonly at: number;
  readonly atEnd: boolean;
}

function cursorOf(text: string): Cursor {
  let at = 0;
  return {
    take: (pattern) => {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match === null) return null;
      at = pattern.lastIndex;
      return match[1] ?? match[0];
    },
    back: (to) => {
      at = to;
    },
    get at() {
      return at;
    },
    get atEnd() {
      return at >= text.length;
    },
  };
}

/** `name = value` at the cursor, which stays where it is when there is none. */
function parameterAt(cursor: Cursor): readonly [name: string, value: string] | null {
  const start = cursor.at;
  const name = cursor.take(token);
  if (name !== null && cursor.take(equals) !== null) {
    const text = cursor.take(quotedString);
    const value = text === null ? cursor.take(token) : text.replace(/\\(.)/g, "$1");
    if (value !== null) return [name.toLowerCase(), value];
  }
  cursor.back(start);
  return null;
}

/** The parameters of one challenge; null when one is given twice, so that nobody need guess which one counts. */
function parametersAt(cursor: Cursor): ReadonlyMap<string, string> | null {
  const parameters = new Map<string, string>();
  let isValid = true;
  for (;;) {
    const parameter = parameterAt(cursor);
    if (parameter === null) break;
    const [name, value] = parameter;
    isValid &&= !parameters.has(name);
    parameters.set(name, value);
    const start = cursor.at;
    if (cursor.take(separators) === null) break;
    // After a comma comes another parameter, or the next challenge.
    const next = parameterAt(cursor);
    cursor.back(start);
    if (next === null) break;
    cursor.take(separators);
  }
  return isValid ? parameters : null;
}

/**
 * Reads WWW-Authenticate (RFC 9110, 11.6.1): any number of challenges in any number of lines. What cannot be read ends the line;
 * the challenges before it count.
 */
export function parseChallenges(header: string | readonly string[] | undefined): readonly Challenge[] {
  const lines = header === undefined ? [] : typeof header === "string" ? [header] : header;
  return lines.flatMap((line) => {
    const challenges: Challenge[] = [];
    const cursor = cursorOf(line.trim());
    while (!cursor.atEnd && challenges.length < maxChallenges) {
      cursor.take(separators);
      const scheme = cursor.take(token);
      if (scheme === null) break;
      const hasSpace = cursor.take(spaces) !== null;
      const opaque = hasSpace && cursor.take(token68) !== null;
      const parameters = hasSpace && !opaque ? parametersAt(cursor) : new Map<string, string>();
      if (parameters !== null) challenges.push({ scheme: scheme.toLowerCase(), parameters });
      if (!cursor.atEnd && cursor.take(separators) === null) break;
    }
    return challenges;
  });
}

/** The strongest challenge that belljar can answer: a token is worth less to a thief than a password. */
export function bestChallenge(challenges: readonly Challenge[]): Challenge | null {
  for (const scheme of ["bearer", "basic"]) {
    const found = challenges.find((challenge) => challenge.scheme === scheme);
    if (found !== undefined) return found;
  }
  return null;
}
