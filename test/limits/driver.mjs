// Runs one program after the other through the library, in one process: starting Node for each would take most of the time. Reads a line of
// JSON { id, options } for each and writes { id, report, stdout, stderr } or { id, error }; several may be under way. Ends with its input.
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const { run } = await import(fileURLToPath(new URL("../../dist/api.mjs", import.meta.url)));
const text = (bytes) => Buffer.from(bytes).toString("base64");

async function answer({ id, options }) {
  try {
    const { report, stdout, stderr } = await run({ ...options, encoding: "buffer" });
    return { id, report, stdout: text(stdout), stderr: text(stderr) };
  } catch (error) {
    return { id, error: `${error.code ?? error.name}: ${error.message}` };
  }
}

for await (const line of createInterface({ input: process.stdin }))
  answer(JSON.parse(line)).then((result) => process.stdout.write(`${JSON.stringify(result)}\n`));
