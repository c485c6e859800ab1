import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bestChallenge, parseChallenges } from "../../../../cli/image/registry/challenge.ts";

const plain = (header: string | readonly string[] | undefined) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe("WWW-Authenticate as RFC 9110 has it", () => {
  test.each([
    [
      'Bearer realm="https://a.example/token",service="a,b",scope="repository:x:pull,push"',
      [["bearer", { realm: "https://a.example/token", service: "a,b", scope: "repository:x:pull,push" }]],
    ],
    ['Bearer realm="a\\"b\\\\c"', [["bearer", { realm: 'a"b\\c' }]]],
    ["Bearer realm=x,service=registry.example", [["bearer", { realm: "x", service: "registry.example" }]]],
    ['bearer REALM="x"', [["bearer", { realm: "x" }]]],
    [
      'Basic realm="r", Bearer realm="https://b/",service=s',
      [
        ["basic", { realm: "r" }],
        ["bearer", { realm: "https://b/", service: "s" }],
      ],
    ],
    [
      "Negotiate, Basic realm=r",
      [
        ["negotiate", {}],
        ["basic", { realm: "r" }],
      ],
    ],
    [
      "Negotiate YIIabc/+==, Basic realm=r",
      [
        ["negotiate", {}],
        ["basic", { realm: "r" }],
      ],
    ],
    ['Bearer scope="s" , service = "x" ,realm="r"', [["bearer", { scope: "s", service: "x", realm: "r" }]]],
    [' , ,Basic realm="r",, ', [["basic", { realm: "r" }]]],
    ['Bearer realm=""', [["bearer", { realm: "" }]]],
    ["Bearer realm=", [["bearer", {}]]],
    ["Bearer", [["bearer", {}]]],
    ["", []],
    ['="x"', []],
    ['Basic realm="r", "junk"', [["basic", { realm: "r" }]]],
    ['Basic realm="unfinished', [["basic", {}]]],
    // Given twice: nobody can say which one counts.
    ['Bearer realm="https://a/",realm="https://b/", Basic realm=r', [["basic", { realm: "r" }]]],
  ])("%s", (header, expected) => expect(plain(header)).toEqual(expected));

  test("several lines", () => {
    expect(plain(["Negotiate", 'Bearer realm="r"'])).toEqual([
      ["negotiate", {}],
      ["bearer", { realm: "r" }],
    ]);
    expect(plain(undefined)).toEqual([]);
  });

  test("a token before a password, whatever the order; nothing of what belljar cannot do", () => {
    expect(bestChallenge(parseChallenges('Basic realm="r", Bearer realm="b"'))?.scheme).toBe("bearer");
    expect(bestChallenge(parseChallenges('Negotiate, Basic realm="r"'))?.scheme).toBe("basic");
    expect(bestChallenge(parseChallenges("Negotiate, Digest nonce=x"))).toBeNull();
  });
});

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9._-]{0,8}$/);
const value = fc.stringMatching(/^[\x20-\x7e]{0,20}$/);
const written = (text: string): string => `"${text.replace(/[\\"]/g, "\\$&")}"`;

test("whatever is written by the rules is read as it was meant", () => {
  const challenge = fc.tuple(token, fc.uniqueArray(fc.tuple(token, value), { selector: ([name]) => name.toLowerCase(), maxLength: 4 }));
  fc.assert(
    fc.property(fc.array(challenge, { maxLength: 4 }), (challenges) => {
      const header = challenges
        .map(([scheme, parameters]) => `${scheme} ${parameters.map(([name, text]) => `${name}=${written(text)}`).join(", ")}`.trim())
        .join(", ");
      const expected = challenges.map(([scheme, parameters]) => [
        scheme.toLowerCase(),
        Object.fromEntries(parameters.map(([name, text]) => [name.toLowerCase(), text])),
      ]);
      expect(plain(header)).toEqual(expected);
    }),
  );
});

test("any text is read in linear time", () => {
  for (const piece of ["a=", "a ", ",", '"', "\\", 'a="', "a, ", " \t", "==", "a=b,"]) {
    const start = performance.now();
    parseChallenges(piece.repeat(16_384 / piece.length));
    expect(performance.now() - start).toBeLessThan(500);
  }
  fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseChallenges(text))));
});
