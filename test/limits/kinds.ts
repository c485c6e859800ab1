/** What a program of the table is, and the words that its rows are written in. */
import type { LimitName } from "../../policy/profile/types.ts";
import type { Verdict } from "../../policy/verdict/verdicts.gen.ts";
import type { Ability } from "../helpers/abilities.ts";
import type { Mechanism } from "./mechanisms.ts";

export interface Expected {
  readonly verdict: Verdict;
  /** Where it matters which: of `exit-nonzero` and `signaled` always. */
  readonly exitCode?: number;
  readonly signal?: string;
  readonly stdout?: string;
  /** Bytes that come out, where the text is too long to write down. */
  readonly stdoutBytes?: number;
  readonly stderrBytes?: number;
  /** Of stdout and of stderr: something was written that did not come out. */
  readonly truncated?: readonly [boolean, boolean];
}

export interface Exception {
  readonly under: readonly Mechanism[];
  readonly expected: Expected;
  /** Why this mechanism cannot tell the same: a note of the table in the documentation. */
  readonly because: string;
}

/** A program of test/fixtures/programs, a file of test/limits/sources, or a command of the host's. */
export type Command =
  | { readonly kind: "c"; readonly program: "limits" | "array" | "behave"; readonly args: readonly string[] }
  | { readonly kind: "c++" | "java" | "go"; readonly source: string; readonly args: readonly string[] }
  | { readonly kind: "host"; readonly argv: readonly string[]; readonly language: string };

export interface Program {
  /** For the table and the test: short, unique. */
  readonly name: string;
  readonly command: Command;
  /** Limits other than the usual ones. */
  readonly limits?: Limits;
  /** A folder on a disk, writable, at /volume; `big`: with a file of that many MiB in it. */
  readonly volume?: { readonly bigMiB?: number };
  readonly expected: Expected;
  readonly except?: readonly Exception[];
  readonly needs?: readonly Ability[];
}

export interface Group {
  readonly title: string;
  readonly programs: readonly Program[];
}

export type Limits = Readonly<Partial<Record<LimitName, string | number | null>>>;

/** What holds unless a program says otherwise: the memory limit is far below what the memory programs want. */
export const usualLimits: Limits = {
  ...{ cpuTime: "10s", wallTime: "60s", memory: "64M", processes: 64 },
  ...{ output: "1M", disk: "32M", inodes: 1000 },
};

export const c = (...args: readonly string[]): Command => ({ kind: "c", program: "limits", args });
export const shell = (script: string): Command => ({ kind: "host", argv: ["sh", "-c", script], language: "shell" });
export const python = (script: string): Command => ({ kind: "host", argv: ["python3", "-c", script], language: "Python" });
export const node = (script: string): Command => ({ kind: "host", argv: ["node", "-e", script], language: "Node" });

export const memory: Expected = { verdict: "memory-limit" };
export const cpu: Expected = { verdict: "cpu-time-limit" };
export const wall: Expected = { verdict: "wall-time-limit" };
export const ok: Expected = { verdict: "ok", exitCode: 0 };
export const exits = (exitCode: number): Expected => ({ verdict: "exit-nonzero", exitCode });
export const dies = (signal: string): Expected => ({ verdict: "signaled", signal });
