import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { maxJsonBytes, maxJsonDepth, readJson } from "../../../policy/profile/json.ts";

const said = (text: string): string =>
  readJson(text)
    .problems.map(({ path, message }) => `${path}: ${message}`)
    .join("; ");

function accepts(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("strict JSON", () => {
  test.each([
    ["", "the file is empty (line 1, column 1)"],
    ['{"a":1', "the text ends too early (line 1, column 7)"],
    ['{\n  "a": 1,\n}', "no comma may stand before a closing brace) (line 3, column 1)"],
    ["[1,]", "expected a value (line 1, column 4)"],
    ["// note\n{}", "JSON has no comments"],
    ["{'a':1}", "strings stand in double quotes"],
    ['{"a":01}', 'expected "," or the closing bracket (line 1, column 7)'],
    ['{"a" 1}', 'expected ":"'],
    ["{} {}", "expected nothing more"],
    ['{"a":"b\n"}', "raw control character"],
    ['{"a":"\\x"}', "bad escape"],
    ["\ufeff{}", "byte order mark"],
    ["NaN", "expected a value"],
    ['{"a":1]', 'expected "," or the closing bracket'],
  ])("%j", (text, words) => {
    expect(readJson(text).ok).toBe(false);
    expect(said(text)).toContain(words);
  });

  test("refuses half a surrogate pair, in values and keys; whole pairs are text", () => {
    expect(said('{"a":["x","\\ud800"]}')).toBe("a[1]: holds half a surrogate pair, which is no text");
    expect(said('{"\\udc00":1}')).toContain("holds half a surrogate pair");
    expect(said('{"a":"\\ud83d\\ude00"}')).toBe("");
  });
  test("finds duplicate keys at any depth, compared after unescaping, once per repetition", () => {
    expect(said('{"limits":{"memory":1,"memory":2}}')).toBe("limits.memory: is given twice (again in line 1, column 23)");
    expect(said('{"a":1,\n"\\u0061":2}')).toContain("a: is given twice (again in line 2, column 1)");
    expect(said('[{"x":1},{"x":1,"x":1}]')).toContain("[1].x: is given twice");
    expect(said('{"a":{"b":1},"b":{"a":1}}')).toBe("");
  });
  test("refuses __proto__ as a key, escaped too, and takes it as a value", () => {
    expect(said('{"a":{"__proto__":1}}')).toContain('a.__proto__: the key "__proto__" is not allowed');
    expect(said('{"\\u005f_proto__":1}')).toContain("is not allowed");
    expect(said('{"a":"__proto__"}')).toBe("");
  });
  test("refuses huge text and nesting bombs, quickly", () => {
    expect(said(" ".repeat(maxJsonBytes + 1))).toContain("is larger than 1024 KiB");
    expect(said("[".repeat(maxJsonBytes))).toContain(`nested deeper than ${maxJsonDepth} levels`);
    expect(said('{"a":'.repeat(100_000))).toContain(`nested deeper than ${maxJsonDepth} levels`);
    expect(said("[".repeat(maxJsonDepth) + "]".repeat(maxJsonDepth))).toBe("");
    const before = performance.now();
    expect(readJson(`"${"\\a".repeat(500_000)}`).ok).toBe(false);
    expect(readJson(`["${"a".repeat(1_000_000)}`).ok).toBe(false);
    expect(performance.now() - before).toBeLessThan(2000);
  });
  test("a string of a mebibyte is no trouble", () => {
    expect(readJson(`"${"\\n".repeat(maxJsonBytes / 2 - 2)}"`).ok).toBe(true);
  });

  test("reads the value that JSON.parse reads", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        const result = readJson(text);
        expect(result.ok && result.value).toEqual(JSON.parse(text));
      }),
    );
  });
  test("accepts exactly the grammar that JSON.parse accepts", () => {
    const damaged = fc
      .tuple(fc.json({ maxDepth: 4 }), fc.nat(200), fc.nat(2), fc.constantFrom(..."{}[],:\"\\ -+.eE019tnu/'\u0000\n\ufeff"))
      .map(([text, at, cut, char]) => text.slice(0, at % (text.length + 1)) + char + text.slice((at % (text.length + 1)) + cut));
    const soup = fc.array(
      fc.constantFrom("{", "}", "[", "]", ",", ":", '"a"', '"', "1", "-0", "1e5", "0.5", "true", "null", " ", "\\u0041"),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          damaged,
          soup.map((parts) => parts.join("")),
          fc.string(),
        ),
        (text) => {
          expect(readJson(text).ok).toBe(accepts(text));
        },
      ),
      { numRuns: 2000 },
    );
  });
});
