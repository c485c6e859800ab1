// For the build only: the command in parts, so that a warm run reads what it needs and no more. esbuild divides the sources into chunks, shared ones apart from those that
// only an import() needs; the chunks become functions here, in a few files that cli/start.cjs runs with V8's code cache. (Of ES modules V8 keeps nothing before Node 22.)

/** Which file each chunk goes to: the first of these from whose modules it can be reached without import(). What none of them reaches is the rest. */
const parts = {
  run: ["cli/main.ts", "cli/run/report-file.ts", "policy/verdict/denials.ts", "cli/output/denied.ts"],
  image: ["cli/run/layered.ts", "policy/compile/image.ts"],
  server: ["cli/server/use.ts", "cli/server/callers-streams.ts", "cli/server/connection.ts"],
};
const rest = "rest";

/** Functions of Node's whose modules take milliseconds to load: that is put off until one of them is called. */
const lazily = { "node:child_process": ["execFileSync", "spawn", "spawnSync"], "node:net": ["connect", "isIPv6"], "node:tty": ["isatty"] };
const isLazy = (path, list) => list.split(",").every((one) => lazily[path]?.includes(one.trim().split(" as ")[0]));
export const partNames = [...Object.keys(parts), rest];
/** It is read at every start, and says where the chunks of the others are. */
const [first] = partNames;

/** Chunks by name, each with its text, entry module, and the names of those that it imports. */
function chunksOf({ outputFiles, metafile }) {
  const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);
  const texts = new Map(outputFiles.map(({ path, text }) => [nameOf(path), text]));
  return new Map(
    Object.entries(metafile.outputs).map(([path, { entryPoint, imports }]) => {
      const ours = imports.filter((one) => !one.external && one.kind === "import-statement");
      return [nameOf(path), { text: texts.get(nameOf(path)), entryPoint, imports: ours.map((one) => nameOf(one.path)) }];
    }),
  );
}

/** What is reached from a chunk, itself last: whoever is imported stands before whoever imports it. An import that leads back would meet exports that are not there yet. */
function reached(chunks, name, { seen = new Set(), above = [] } = {}) {
  if (above.includes(name)) throw new Error(`chunks that import each other: ${[...above, name].join(" -> ")}`);
  if (!seen.has(name)) {
    for (const other of chunks.get(name).imports) reached(chunks, other, { seen, above: [...above, name] });
    seen.add(name);
  }
  return seen;
}

/** An ES module, in the few forms that esbuild writes, as the inside of a function of its exports (cli/start.cjs has the other names). */
function asFunction(text, { name, chunks }) {
  const from = (path) => (chunks.has(path.slice(2)) ? `$load("${path.slice(2)}")` : `$require("${path}")`);
  const named = (list, path) => (isLazy(path, list) ? `$lazily("${path}")` : from(path));
  const exported = (list) =>
    list
      .split(",")
      .map((one) => one.trim().split(" as "))
      .map(([local, other = local]) => (local === other ? local : `${other}: ${local}`))
      .join(", ");
  const taken = /\$(?:require|lazily|load|meta)\b/.exec(text);
  if (taken !== null) throw new Error(`${name}: has a name of its own that is ${taken[0]}`);
  const converted = text
    .replace(
      /^import \{([^}]*)\} from "([^"]+)";$/gm,
      (_, list, path) => `const {${list.replaceAll(" as ", ": ")}} = ${named(list, path)};`,
    )
    .replace(/^import (?:\* as )?([\w$]+) from "([^"]+)";$/gm, (_, local, path) => `const ${local} = ${from(path)};`)
    .replace(/^import "([^"]+)";$/gm, (_, path) => `${from(path)};`)
    .replace(/^export \{([^}]*)\};$/gm, (_, list) => `Object.assign(exports, { ${exported(list)} });`)
    .replace(/\bimport\("([^"]+)"\)/g, (_, path) => `Promise.resolve().then(() => ${from(path)})`)
    .replaceAll("import.meta", "$meta");
  const left = /^(?:import|export)\b.*/m.exec(converted);
  if (left !== null) throw new Error(`${name}: esbuild wrote a form of import or export that is not known here: ${left[0]}`);
  return converted;
}

/** The text of each part, by its name: a script whose value is a function, which gives chunks by name (see cli/start.cjs). */
export function commandParts(result) {
  const chunks = chunksOf(result);
  const byEntry = new Map([...chunks].flatMap(([name, { entryPoint }]) => (entryPoint === undefined ? [] : [[entryPoint, name]])));
  const placed = new Map();
  for (const [part, entries] of Object.entries(parts))
    for (const entry of entries) {
      const start = byEntry.get(entry);
      if (start === undefined) throw new Error(`${entry} is no longer loaded by import()`);
      for (const name of reached(chunks, start)) if (!placed.has(name)) placed.set(name, part);
    }
  const partOf = (name) => placed.get(name) ?? rest;
  const textOf = (part) => {
    const entries = [...chunks].flatMap(([name, { text }]) => {
      if (partOf(name) === part) return [`"${name}"(exports) {\n${asFunction(text, { name, chunks })}}`];
      return part === first ? [`"${name}": "${partOf(name)}"`] : [];
    });
    return `(function ($require, $lazily, $load, $meta, $build) { "use strict"; return {\n${entries.join(",\n")}\n}; })`;
  };
  return Object.fromEntries(partNames.map((part) => [part, textOf(part)]));
}
