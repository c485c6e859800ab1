import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emptyMerge, isObject, type Json, type Merged, mergeLayer } from "../../../policy/profile/merge.ts";
import { formatPath, parsePath } from "../../../policy/profile/path.ts";

const leaf = fc.oneof(fc.integer(), fc.string({ maxLength: 3 }), fc.constant(null), fc.array(fc.integer(), { maxLength: 2 }));
/** Layers that agree on which keys are objects, as valid profiles do. */
const layer: fc.Arbitrary<Json> = fc.record(
  {
    a: leaf,
    b: leaf,
    constructor: leaf,
    limits: fc.record({ x: leaf, y: leaf, toString: leaf }, { requiredKeys: [] }),
    deep: fc.record({ er: fc.record({ z: leaf, w: leaf }, { requiredKeys: [] }) }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);
const merge = (...layers: readonly Json[]): Merged =>
  layers.reduce<Merged>((merged, one, index) => mergeLayer(merged, one, `file ${index}`), emptyMerge);

/** The plainest statement of the rule: the last layer that has a path. */
function lookUp(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined), value);
}
const paths = ["a", "b", "constructor", "limits.x", "limits.y", "limits.toString", "deep.er.z", "deep.er.w"];

describe("merge", () => {
  test("every leaf is that of the last layer that has it, and provenance names that layer", () => {
    fc.assert(
      fc.property(fc.array(layer, { minLength: 1, maxLength: 5 }), (layers) => {
        const { value, provenance } = merge(...layers);
        for (const path of paths) {
          const last = layers.findLastIndex((one) => lookUp(one, path.split(".")) !== undefined);
          expect(lookUp(value, path.split("."))).toEqual(last === -1 ? undefined : lookUp(layers[last], path.split(".")));
          expect(Object.hasOwn(provenance, path) ? provenance[path] : undefined).toBe(last === -1 ? undefined : `file ${last}`);
        }
      }),
    );
  });
  test("is associative, has a neutral element and is idempotent", () => {
    fc.assert(
      fc.property(layer, layer, layer, (a, b, c) => {
        expect(merge(merge(a, b).value, c).value).toEqual(merge(a, merge(b, c).value).value);
        expect(merge({}, a).value).toEqual(a);
        expect(merge(a, {}).value).toEqual(a);
        expect(merge(a, a).value).toEqual(a);
      }),
    );
  });
  test("leaves its inputs alone and reaches no prototype", () => {
    const evil = JSON.parse('{"limits":{"__proto__":{"polluted":1}},"__proto__":{"polluted":1}}') as Json;
    const base = Object.freeze({ limits: Object.freeze({ x: 1 }) });
    const { value } = merge(base, evil);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect((value["limits"] as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.getPrototypeOf(value["limits"])).toBe(Object.prototype);
    expect(base).toEqual({ limits: { x: 1 } });
  });
});

describe("paths", () => {
  test("what is formatted parses back", () => {
    const segment = fc.oneof(fc.string({ maxLength: 8, unit: fc.constantFrom(...'abc._-$[]"\\ 0+') }), fc.nat(999_999));
    fc.assert(
      fc.property(fc.tuple(fc.constantFrom("limits", "mounts"), fc.array(segment, { maxLength: 4 })), ([first, rest]) => {
        expect(parsePath(formatPath([first, ...rest]))).toEqual([first, ...rest]);
      }),
    );
  });
  test.each(["", ".", "a.", ".a", "a..b", "[0]", "a[", "a[-1]", "a[x]", "a b", "a[0]b", "a[1e3]", 'a["x]', "a=b"])(
    "%j is no path",
    (text) => {
      expect(parsePath(text)).toBeNull();
    },
  );
  test("[+] is one more", () => expect(parsePath("mounts[+].target")).toEqual(["mounts", { append: true }, "target"]));
});
