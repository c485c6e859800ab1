// The examples of README.md, run as they stand.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as everything from "seccomp-ts-bindings";

const home = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(join(home, "README.md"), "utf8");
const examples = [...readme.matchAll(/^```js(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(([, name, code]) => ({ name, code }));

test("every example of the README runs", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "seccomp-ts-bindings-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(home, join(folder, "node_modules/seccomp-ts-bindings"));
  for (const { name, code } of examples) if (name !== undefined) writeFileSync(join(folder, name), code);
  const main = examples.filter(({ name }) => name === undefined);
  assert.ok(main.length >= 7);
  const outputs = main.map(({ code }, i) => {
    const path = join(folder, `example-${i}.mjs`);
    writeFileSync(path, code);
    const { status, stdout, stderr } = spawnSync(process.execPath, [path], { encoding: "utf8", timeout: 30_000 });
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" }, code);
    return stdout;
  });
  assert.match(outputs[0], /mkdirat[\s\S]*ERRNO\(1\)/);
  assert.ok(outputs.includes("4242\n"));
});

test("the README and the types name everything that there is", () => {
  const types = readFileSync(join(home, "index.d.ts"), "utf8");
  const exported = Object.keys(everything);
  assert.ok(exported.length > 15);
  const declared = [...types.matchAll(/^export (?:const|class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(declared.sort(), exported.sort());
  const methods = Object.getOwnPropertyNames(everything.Filter.prototype).filter((name) => name !== "constructor");
  for (const name of methods) assert.match(types, new RegExp(`^  (readonly )?${name}[(:]`, "m"), name);
  for (const name of [...exported, ...methods].filter((name) => name !== "operators" && name !== "released"))
    assert.match(readme, new RegExp(`\\b${name}\\b`), name);
  const { arches, actions, attributes, operators } = everything;
  for (const [table, entries] of Object.entries({ arches, actions, attributes, operators })) {
    const [, body] = types.match(new RegExp(`^export const ${table}: \\{([\\s\\S]*?)^\\}`, "m"));
    assert.deepEqual([...body.matchAll(/readonly (\w+):/g)].map(([, name]) => name).sort(), Object.keys(entries).sort());
  }
});
