import { BelljarError } from "../../policy/errors.ts";
import { formatDuration, formatSize } from "../../policy/units.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { printable, printableLines, quoted } from "./terminal.ts";

/** Colour only where a person looks at it, and never against https://no-color.org. */
export function wantsColour(stream: { readonly isTTY?: boolean }, environment: Readonly<Record<string, string | undefined>>): boolean {
  return stream.isTTY === true && !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
}

const codes = { red: 31, yellow: 33, green: 32, bold: 1, dim: 2 } as const;
export type Paint = (style: keyof typeof codes, text: string) => string;

/** A painter that does nothing when `colour` is false. */
export function painter(colour: boolean): Paint {
  return (style, text) => (colour ? `\u001b[${codes[style]}m${text}\u001b[0m` : text);
}

const plain = painter(false);

/** `belljar: MESSAGE`, then at most one `hint:` line. */
export function errorText(error: { readonly message: string; readonly hint: string | null }, paint: Paint = plain): string {
  const hint = error.hint === null ? "" : `${paint("bold", "hint:")} ${printable(error.hint)}\n`;
  return `${paint("red", "belljar:")} ${printableLines(error.message)}\n${hint}`;
}

/** `belljar: warning: MESSAGE`. */
export function warningText(message: string, paint: Paint = plain): string {
  return `${paint("yellow", "belljar:")} warning: ${printable(message)}\n`;
}

/** The one line about a verdict that is not `ok`, with the hint of a failure that has one. */
export function verdictText(report: RunReport, paint: Paint = plain): string {
  if (report.verdict === "ok") return "";
  const message = report.error?.message ?? report.message;
  return errorText({ message: `${report.verdict}: ${message}`, hint: report.error?.hint ?? null }, paint);
}

/** One error line for each file that was to be copied out and was not. */
export function outputsText(report: RunReport, paint: Paint = plain): string {
  return report.outputs
    .flatMap(({ path, error }) =>
      error === null ? [] : [errorText({ message: `copying out: ${quoted(path)}: ${error}`, hint: null }, paint)],
    )
    .join("");
}

const unknown = "not measured";
const milliseconds = (value: number | null) => (value === null ? unknown : formatDuration(value));
const count = (value: number | null) => (value === null ? unknown : String(value));
const bytes = (value: number | null) => (value === null ? unknown : formatSize(value));

/** What `--verbose` adds: usage, which mechanism held each limit, and whose sandbox it was. */
export function usageText(report: RunReport, pool: string | null = null): string {
  const { time, memory, processes, disk, output } = report;
  const cpu = time.cpuExact || time.cpuMs === null ? milliseconds(time.cpuMs) : `at least ${milliseconds(time.cpuMs)}`;
  const rows: [string, string][] = [
    ["verdict", `${report.verdict} (${report.message})`],
    ["wall time", milliseconds(time.wallMs)],
    ["CPU time", `${cpu} (user ${milliseconds(time.userMs)}, system ${milliseconds(time.systemMs)})`],
    ["set-up time", milliseconds(time.setupMs)],
    ["peak memory", bytes(memory.peakBytes)],
    ["peak processes", count(processes.peak)],
    ["disk", `${bytes(disk.usedBytes)}, ${count(disk.usedInodes)} inodes`],
    ["output", `${bytes(output.stdoutBytes)} stdout, ${bytes(output.stderrBytes)} stderr${output.truncated ? ", truncated" : ""}`],
  ];
  for (const file of report.outputs) rows.push([`out ${file.path}`, file.error ?? bytes(file.bytes)]);
  for (const volume of report.sandbox.writableVolumes) rows.push(["writable volume", volume]);
  const held = Object.entries(report.enforcement).map(([limit, mechanism]) => `${limit} ${mechanism}`);
  rows.push(["enforced by", held.join(", ") || "nothing"]);
  if (pool !== null) rows.push(["sandbox of", pool]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `belljar: ${printable(name).padEnd(width)}  ${printable(value)}\n`).join("");
}

/** Any thrown thing as the error that is shown: ours as it is, anything else as `internal`. */
export function toBelljarError(error: unknown): BelljarError {
  if (error instanceof BelljarError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new BelljarError("internal", `internal error: ${text}`, {
    cause: error,
    hint: "this is a fault of belljar: please report it with the command and the output of `belljar doctor --json`",
  });
}
