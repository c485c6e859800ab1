import fc from "fast-check";
import type { ExecPlan, SandboxPlan } from "../../../policy/wire/wire.gen.ts";
import { enums, flags, type WireField, wireRecords } from "../../../policy/wire/wire.gen.ts";

const component = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
  .filter((s) => !/[/\0]|\p{Surrogate}/u.test(s) && !/^\.\.?$/.test(s));
const relative = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const checked: Readonly<Record<string, fc.Arbitrary<string>>> = {
  abs: fc.oneof(
    fc.constant("/"),
    relative.map((path) => `/${path}`),
  ),
  relative,
  name: fc.stringMatching(/^[a-z0-9-]{1,64}$/),
  file: fc.stringMatching(/^[a-z0-9_][a-z0-9._]{0,20}$/),
};
const freeText = fc.string({ unit: "grapheme", maxLength: 20 }).filter((s) => !s.includes("\0") && !/\p{Surrogate}/u.test(s));

/** Any value that the wire table allows for a field, from the table itself: a new field is covered without a change here. */
function fieldArbitrary(field: WireField): fc.Arbitrary<unknown> {
  const [head = "", argument = ""] = field.type.split(":");
  switch (head) {
    case "u32":
      return fc.integer({ min: field.min ?? 0, max: field.max ?? 0xffff_ffff });
    case "u64":
      return fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
    case "bool":
      return fc.boolean();
    case "enum":
      return fc.constantFrom(...((enums as Readonly<Record<string, readonly string[]>>)[argument] ?? []));
    case "flags":
      return fc.subarray(Object.keys((flags as Readonly<Record<string, object>>)[argument] ?? {}));
    case "str":
      return field.check === undefined ? freeText : (checked[field.check] ?? freeText);
    case "bytes":
      return fc.uint8Array({ maxLength: 40 });
    case "list":
      return fc.array(elementArbitrary(argument), {
        minLength: field.name === "argv" ? 1 : 0,
        maxLength: 5,
      });
    case "array":
      return fc.array(fc.integer({ min: 0, max: enums.Mechanism.length - 1 }), { minLength: field.size / 4, maxLength: field.size / 4 });
    default:
      throw new Error(`no arbitrary for ${field.type}`);
  }
}

function elementArbitrary(name: string): fc.Arbitrary<unknown> {
  if (name === "Text") return freeText;
  if (name === "Number") return fc.integer({ min: 0, max: 0xffff_ffff });
  return recordArbitrary(name);
}

function recordArbitrary(name: string): fc.Arbitrary<unknown> {
  const fields = wireRecords[name]?.fields ?? [];
  return fc.record(Object.fromEntries(fields.map((field) => [field.name, fieldArbitrary(field)])), { noNullPrototype: true });
}

export const sandboxPlans = recordArbitrary("SandboxPlan") as fc.Arbitrary<SandboxPlan>;
export const execPlans = recordArbitrary("ExecPlan") as fc.Arbitrary<ExecPlan>;
