// A client process of the soak: takes jobs from its parent, several at a time, and tells what came of each. It may be killed at any moment.
// Usage (forked): client.mjs WIRE_MODULE PARTS_FILE SOCKET
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { runOver } from "./connection.mjs";
import { objection, programs } from "./programs.mjs";
import { numbersOf } from "./random.mjs";

const [wirePath, partsPath, socketPath] = process.argv.slice(2);
const { decodeRecord, enums, verdictTable } = await import(pathToFileURL(wirePath).href);
const parts = JSON.parse(readFileSync(partsPath, "utf8"));
const kinds = new Map(enums.MessageKind.map((name, number) => [name, number]));
const execs = Object.fromEntries(Object.entries(parts).map(([name, text]) => [name, Buffer.from(text, "base64")]));
const table = new Map(programs.map((program) => [program.name, program]));

function readable(bytes) {
  if (bytes === null) return null;
  const record = decodeRecord(bytes);
  return {
    verdict: verdictTable[record.verdict].name,
    ...{ exitCode: record.exitCode, signal: record.signal, leftovers: record.leftovers },
    ...{ stdoutBytes: Number(record.stdoutBytes), stderrBytes: Number(record.stderrBytes) },
    ...{ step: record.errorStep, errno: record.errorErrno, text: record.errorText },
  };
}

async function work({ id, name, seed }) {
  const program = table.get(name);
  const next = numbersOf(seed);
  const pick = (below) => Math.floor(next() * below);
  const stdin = Buffer.alloc(program.stdin === undefined ? 0 : pick(program.stdin), `input ${seed} `);
  const from = performance.timeOrigin + performance.now();
  const outcome = await runOver(socketPath, { ...program, exec: execs[name], stdin, pick, kind: (one) => kinds.get(one) });
  const record = readable(outcome.record);
  const said = { ...outcome, record, stdin: { digest: createHash("sha1").update(stdin).digest("hex") } };
  process.send({
    ...{ id, from, record, refused: outcome.refused, error: outcome.error ?? null, parked: outcome.parked },
    objection: outcome.problem ?? objection(program, said),
  });
}

process.on("message", (job) => void work(job));
process.on("disconnect", () => process.exit(0));
process.send({ ready: true });
