// --plot and --sample through the command.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarRun } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

needs("userns")("the picture lies where it was asked for, and its samples are in the report as well", async () => {
  const file = join(tempDir("plot"), "run.svg");
  const { report, stdout } = await belljarRun(["--plot", file, "--sample", "5ms", "--", "sh", "-c", "sleep 0.3; echo done"]);
  expect([report.verdict, stdout]).toEqual(["ok", "done\n"]);
  const svg = readFileSync(file, "utf8");
  expect(svg).toMatch(/^<svg .*<\/svg>\n$/s);
  expect(svg).toContain("ok: exited with code 0");
  expect(svg).toContain(`${report.samples?.points.length} samples, one every 5 ms`);
  expect(report.samples?.points).not.toEqual([]);
});

needs("userns")("without --sample a plot has a sample every 50 ms; without either the report has none", async () => {
  const dir = tempDir("plot");
  const { report } = await belljarRun(["--plot", join(dir, "a.svg"), "--", "true"]);
  expect(report.samples).toMatchObject({ intervalMs: 50 });
  expect((await belljarRun(["--", "true"])).report.samples).toBeNull();
});

needs("userns")("a program's words are text in the picture, whatever they are", async () => {
  const file = join(tempDir("plot"), "run.svg");
  const { report } = await belljarRun(["--plot", file, "--", "no<script>&\u001b[31m"]);
  expect(report.verdict).toBe("start-failed");
  const svg = readFileSync(file, "utf8");
  expect(svg).toContain("no&lt;script&gt;&amp;\\x1b[31m");
  expect(svg).not.toContain("<script>");
});

needs("userns")("a place that cannot be written is refused before the run; so is one that has another use", async () => {
  const dir = tempDir("plot");
  const touched = join(dir, "touched");
  writeFileSync(join(dir, "in"), "precious");
  const command = ["-v", `${dir}:/mnt:rw`, "--", "touch", "/mnt/touched"];
  const missing = await belljar(["run", "--plot", join(dir, "no/run.svg"), ...command]);
  expect([missing.code, missing.stderr]).toEqual([125, expect.stringContaining("belljar: writing the plot:")]);
  const input = await belljar(["run", "--stdin", join(dir, "in"), "--plot", join(dir, "in"), ...command]);
  expect([input.code, input.stderr]).toEqual([125, expect.stringContaining("'--plot'")]);
  const both = await belljar(["run", "--report", join(dir, "r"), "--plot", join(dir, "r"), ...command]);
  expect([both.code, both.stderr]).toEqual([125, expect.stringContaining("'--plot'")]);
  expect([existsSync(touched), readFileSync(join(dir, "in"), "utf8")]).toEqual([false, "precious"]);
});
