import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { applyPath } from "./layer/apply-path.ts";
import { idArguments, type LayerIds } from "./layer/ids.ts";

/** Texts of an image's own files; null where it has none that can be read without following links. */
export interface Accounts {
  readonly passwd: string | null;
  readonly group: string | null;
}

/** Beside the files of the highest layer, which with all below it decides what the merged tree shows. */
const cacheName = "accounts.json";
const maxBytes = 4 * 1024 * 1024;

/** Of each file a line with its length, "-" for none, and its bytes (native/apply/accounts.h). */
export function parseAccounts(output: Buffer): Accounts {
  let at = 0;
  const next = (): string | null => {
    const end = output.indexOf(0x0a, at);
    const line = output.toString("latin1", at, end);
    at = end + 1;
    if (line === "-") return null;
    if (end === -1 || !/^\d{1,8}$/.test(line) || at + Number(line) > output.length)
      throw new BelljarError("internal", "reading accounts of an image: the helper's answer is cut off");
    at += Number(line);
    return output.toString("utf8", at - Number(line), at);
  };
  return { passwd: next(), group: next() };
}

function cached(path: string): Accounts | null {
  try {
    const { passwd, group } = JSON.parse(readFileSync(path, "utf8")) as Partial<Accounts>;
    const isText = (value: unknown): boolean => value === null || typeof value === "string";
    return isText(passwd) && isText(group) ? { passwd: passwd ?? null, group: group ?? null } : null;
  } catch {
    return null;
  }
}

/** The passwd and group files that the merged layers show. A cache that cannot be written only costs time. */
export async function readAccounts(layers: readonly string[], ids: LayerIds): Promise<Accounts> {
  const top = layers.at(-1);
  if (top === undefined) return { passwd: null, group: null };
  const path = join(dirname(top), cacheName);
  const known = cached(path);
  if (known !== null) return known;
  const output = await new Promise<Buffer>((resolve, reject) => {
    const args = ["accounts", String(layers.length), ...layers, ...idArguments(ids)];
    execFile(applyPath(), args, { encoding: "buffer", env: {}, cwd: "/", maxBuffer: maxBytes }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(new BelljarError("internal", `reading accounts of an image: belljar-apply: ${error.message}`, { cause: error }));
    });
  });
  const accounts = parseAccounts(output);
  await writeFile(path, JSON.stringify(accounts), { mode: 0o644, flag: "wx" }).catch(() => undefined);
  return accounts;
}
