import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Atom, findWord, fullWord, holds, rangesOf } from "../../../policy/seccomp/word.ts";

const inside = (low: number, high: number, mask = fullWord): Atom => ({ mask, low, high, inside: true });
const not = (value: number, mask = fullWord): Atom => ({ mask, low: value, high: value, inside: false });

describe("rangesOf", () => {
  test.each<[string, Atom[], number, number[][]]>([
    ["nothing asked", [], fullWord, [[0, fullWord]]],
    ["a hole", [not(5)], 0xff, [[0, 4], [6, 255]]],
    ["holes at the ends", [not(0), not(255), not(254)], 0xff, [[1, 253]]],
    ["borders", [inside(3, 20), inside(0, 9), not(9), not(4), not(4)], fullWord, [[3, 3], [5, 8]]],
    ["nothing left", [inside(3, 3), not(3)], fullWord, []],
    ["borders that cross", [inside(0, 3), inside(4, 9)], fullWord, []],
  ])("%s", (_what, atoms, mask, expected) => expect(rangesOf(atoms, mask)).toEqual(expected)); // biome-ignore format: one case a line
});

describe("findWord", () => {
  test.each<[string, Atom[], number | null]>([
    ["nothing asked", [], 0],
    ["a value", [inside(7, 7)], 7],
    ["bits", [inside(0x50, 0x50, 0xf0), inside(1, 1, 3)], 0x51],
    ["bits that contradict", [inside(0x50, 0x50, 0xf0), inside(0, 0, 0x10)], null],
    ["a value outside its mask", [inside(3, 3, 1)], null],
    ["any bit", [not(0, 0x7e020000), inside(0, 0, 0x10000000)], 0x20000],
    ["a range and bits", [inside(0x100, 0x1ff), inside(0x40, 0x40, 0xc0), not(0x140)], 0x141],
    ["all values of two bits taken", [not(0, 3), not(1, 3), not(2, 3), not(3, 3)], null],
    ["the highest bit", [inside(0x80000000, 0x80000000, 0x80000000)], 0x80000000],
  ])("%s", (_what, atoms, expected) => expect(findWord(atoms)).toBe(expected));

  test("finds a value if and only if there is one", () => {
    const byte = fc.nat(0xff);
    const atom = fc.oneof(
      fc.tuple(byte, byte, fc.constantFrom(fullWord, 0xff, 0x0f, 0x3c)).map(([a, b, mask]) => inside(Math.min(a, b), Math.max(a, b), mask)),
      fc.tuple(byte, fc.constantFrom(fullWord, 0xff, 0x81, 3)).map(([value, mask]) => not(value & (mask === fullWord ? 0xff : mask), mask)),
    );
    let none = 0;
    fc.assert(
      fc.property(fc.array(atom, { maxLength: 8 }), (atoms) => {
        const found = findWord(atoms);
        // No atom looks above the eighth bit but by comparing the whole word: one more bit stands for all of them.
        const exists = Array.from({ length: 512 }, (_, word) => word).some((word) => atoms.every((one) => holds(one, word)));
        expect(found !== null).toBe(exists);
        if (found !== null) for (const one of atoms) expect(holds(one, found)).toBe(true);
        else none++;
      }),
      { numRuns: 2000 },
    );
    expect(none).toBeGreaterThan(100);
  });
});
