// Turns entries.def.json into C and TypeScript. Output is committed; a test checks that it is fresh.
// Usage: node cli/image/layer/generate.mjs [--check]
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../../..");
const def = JSON.parse(readFileSync(join(here, "entries.def.json"), "utf8"));
const by = "enerated by cli/image/layer/generate.mjs; do not edit.";

const snake = (name) => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
const upper = (name) => snake(name).toUpperCase();
const sizeOf = { u32: 4, i64: 8, u64: 8 };
const cType = { u32: "uint32_t", i64: "int64_t", u64: "uint64_t" };

const records = Object.entries(def.records).map(([name, fields]) => {
  let offset = 0;
  const placed = fields.map((field) => {
    const size = sizeOf[field.type];
    if (size === undefined || offset % size !== 0) throw new Error(`${name}.${field.name}: unknown type or a hole before it`);
    const at = { ...field, offset };
    offset += size;
    return at;
  });
  return { name, fields: placed, size: offset };
});

let c = `/* G${by} */\n#ifndef BELLJAR_ENTRIES_GEN_H\n#define BELLJAR_ENTRIES_GEN_H\n#include <stddef.h>\n#include <stdint.h>\n\n`;
c += `#define ENTRIES_VERSION ${def.version}u\n`;
for (const [name, value] of Object.entries(def.limits)) c += `#define ENTRIES_${upper(name)} ${value}u\n`;
for (const [name, flags] of Object.entries(def.flags))
  for (const [flag, bit] of Object.entries(flags)) c += `#define ${upper(name)}_${upper(flag)} ${bit}u\n`;
for (const [name, values] of Object.entries(def.enums)) {
  c += `\nenum ${snake(name)} {\n${values.map((value, i) => `\t${upper(name)}_${upper(value)} = ${i},\n`).join("")}\t${upper(name)}_COUNT = ${values.length},\n};\n`;
}
for (const { name, fields, size } of records) {
  c += `\nstruct wire_${name} {\n${fields.map((f) => `\t${cType[f.type]} ${snake(f.name)};${f.doc ? ` /* ${f.doc} */` : ""}\n`).join("")}};\n`;
  c += `_Static_assert(sizeof(struct wire_${name}) == ${size}, "${name}");\n`;
}
c += "\n#endif\n";

let ts = `// G${by}\n\nexport const entriesVersion = ${def.version};\n`;
ts += `export const entryLimits = ${JSON.stringify(def.limits, null, 2)} as const;\n`;
for (const [name, flags] of Object.entries(def.flags)) ts += `export const ${name} = ${JSON.stringify(flags)} as const;\n`;
for (const [name, values] of Object.entries(def.enums)) {
  ts += `export const ${name} = ${JSON.stringify(Object.fromEntries(values.map((value, i) => [value, i])), null, 2)} as const;\n`;
  ts += `export const ${name}Names = ${JSON.stringify(values)} as const;\n`;
}
for (const { name, fields, size } of records) {
  ts += `/** Where the fields of a ${name} lie, in bytes. */\n`;
  ts += `export const ${name}Layout = { size: ${size}, ${fields.map((f) => `${f.name}: ${f.offset}`).join(", ")} } as const;\n`;
}

let stale = false;
for (const [path, text] of [
  [join(here, "entries.gen.ts"), ts],
  [join(root, "native/apply/gen/entries.gen.h"), c],
]) {
  if (process.argv.includes("--check")) {
    let old = "";
    try {
      old = readFileSync(path, "utf8");
    } catch {
      // missing is stale
    }
    if (old !== text) {
      console.error(`stale: ${path}: run node cli/image/layer/generate.mjs`);
      stale = true;
    }
  } else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}
process.exitCode = stale ? 1 : 0;
