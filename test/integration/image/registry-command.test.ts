import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type BelljarHandle, startBelljar } from "../../helpers/belljar.ts";
import { until } from "../../helpers/deadline.ts";
import { tempDir } from "../../helpers/places.ts";
import { type Script, scriptedRegistry, testImage } from "../../helpers/registry.ts";

const big = createHash("shake256", { outputLength: 3_000_000 }).update("big").digest();
const image = testImage([big, "small"]);
const bigDigest = image.layers[0]?.digest ?? "";

/** Sends the first two megabytes of the big layer, and then nothing, until it is let go. */
function stalling(): { readonly script: Script; letGo(): void } {
  let stalls = true;
  return {
    letGo: () => {
      stalls = false;
    },
    script: (request, response, next) => {
      if (!stalls || !request.path.includes(bigDigest)) return next();
      response.writeHead(200, { "content-length": big.length });
      response.write(big.subarray(0, 2_000_000));
    },
  };
}

const pulling = (host: string, data: string, more: readonly string[] = []): BelljarHandle =>
  startBelljar(["pull", ...more, `${host}/x`], { env: { XDG_DATA_HOME: data } });
const written = (data: string): boolean =>
  readdirSync(join(data, "belljar/sessions"), { recursive: true, withFileTypes: true }).some(
    ({ name, parentPath }) => name.startsWith("part-") && statSync(join(parentPath, name)).size >= 1_000_000,
  );
const partly = (data: string) =>
  until(
    () => {
      try {
        return written(data);
      } catch {
        return false;
      }
    },
    { what: "the first part of the layer", timeoutMs: 20_000 },
  );

test("lines for whoever does not watch, and the digest on stdout", async () => {
  const registry = await scriptedRegistry({ latest: image });
  const { code, stdout, stderr } = await pulling(registry.host, tempDir("data")).result;
  expect(stderr.split("\n").sort()).toEqual(
    [
      "",
      `belljar: asking ${registry.host}`,
      ...image.layers.map(({ digest }, at) => `belljar: ${digest.slice(7, 19)}  ${at === 0 ? "2.86 MiB" : "5 bytes"}`),
    ].sort(),
  );
  expect([code, stdout]).toEqual([0, `${registry.host}/x:latest is ${image.descriptor.digest}\n`]);
});

test("as JSON nothing but the document", async () => {
  const registry = await scriptedRegistry({ latest: image });
  const { stdout, stderr } = await pulling(registry.host, tempDir("data"), ["--json"]).result;
  expect(JSON.parse(stdout)).toMatchObject({ name: `${registry.host}/x:latest`, digest: image.descriptor.digest, warnings: [] });
  expect(stderr).toBe("");
});

test("bars on a terminal, which are gone at the end", async () => {
  const registry = await scriptedRegistry({ latest: image }, (request, response, next) => {
    if (!request.path.includes(bigDigest)) return next();
    response.writeHead(200, { "content-length": big.length });
    response.write(big.subarray(0, 2_000_000));
    return setTimeout(() => response.end(big.subarray(2_000_000)), 300);
  });
  const { stdout, code } = await startBelljar(["pull", `${registry.host}/x`], {
    env: { XDG_DATA_HOME: tempDir("data"), TERM: "xterm" },
    terminal: { rows: 24, columns: 70 },
  }).result;
  expect(code).toBe(0);
  expect(stdout).toContain(`${bigDigest.slice(7, 19)}  [`);
  expect(stdout).toContain("of 2.86 MiB");
  // After the last bar it is wiped out, and what stays follows.
  const last = stdout.slice(stdout.lastIndexOf("all layers"));
  expect(last).toContain("\u001b[2K");
  expect(last.trimEnd().endsWith(`is ${image.descriptor.digest}`)).toBe(true);
});

describe("broken off", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGKILL", null],
  ] as const)("by %s: nothing is named, and the next pull goes on from there", async (signal, status) => {
    const { script, letGo } = stalling();
    const registry = await scriptedRegistry({ latest: image }, script);
    const data = tempDir("data");
    const handle = pulling(registry.host, data);
    await partly(data);
    process.kill(await handle.pid, signal);
    const { code, stdout } = await handle.result;
    expect([code, stdout]).toEqual([status, ""]);
    expect(JSON.parse(readFileSync(join(data, "belljar/images/index.json"), "utf8"))).toMatchObject({ manifests: [] });
    letGo();
    const again = await pulling(registry.host, data).result;
    expect(again.stderr).toMatch(new RegExp(`${bigDigest.slice(7, 19)}  goes on from 1\\.?\\d* MiB`));
    expect(again.code).toBe(0);
    const ranges = registry.seen.filter(({ path }) => path.includes(bigDigest)).map(({ headers }) => headers.range);
    const kept = Number(/^bytes=(\d+)-$/.exec(ranges[1] ?? "")?.[1]);
    expect(ranges).toHaveLength(2);
    // Of a killed one, what was on its way to the disk is lost.
    expect(kept).toBeGreaterThanOrEqual(1_000_000);
    const verified = await startBelljar(["image", "verify", "--json"], { env: { XDG_DATA_HOME: data } }).result;
    expect(verified.code).toBe(0);
  });
});

test("an error is one line, and a hint", async () => {
  const { code, stderr, stdout } = await startBelljar(["pull", "127.0.0.1:1/x"], { env: { XDG_DATA_HOME: tempDir("data") } }).result;
  expect([code, stdout]).toEqual([125, ""]);
  expect(stderr).toBe("belljar: asking 127.0.0.1:1\nbelljar: pulling '127.0.0.1:1/x:latest': 127.0.0.1:1: connection refused\n");
});
