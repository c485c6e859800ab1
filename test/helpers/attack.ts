import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import { expect } from "vitest";
import { capabilityNumbers } from "../../policy/profile/index.ts";
import type { Profile } from "../../policy/profile/types.ts";
import { type Ability, needs } from "./abilities.ts";
import { type BelljarOptions, type BelljarResult, belljar } from "./belljar.ts";
import { type Canary, plantCanary } from "./canary.ts";
import { fixtureProgram } from "./compile.ts";
import { root, tempDir } from "./places.ts";

/** One line of an attack program; errno 0: the try succeeded. */
export interface Try {
  readonly try: string;
  readonly errno: number;
  readonly result?: number;
  readonly text?: string;
  readonly signal?: number;
}

export type ErrnoName = keyof typeof constants.errno | "OK" | "ENOKEY";

/** Number to name, for messages that can be read: 13 -> "EACCES", 0 -> "OK". */
export function errnoText(number: number): string {
  if (number === 0) return "OK";
  if (number === 126) return "ENOKEY"; // not among Node's
  return Object.entries(constants.errno).find(([name, value]) => value === number && name !== "EWOULDBLOCK")?.[0] ?? String(number);
}

/** What the tries of one attack say. */
export class Tries {
  readonly all: readonly Try[];
  constructor(output: string) {
    this.all = output
      .split("\n")
      .filter((line) => line.startsWith('{"try":'))
      .map((line) => JSON.parse(line) as Try);
  }
  /** The try of that name; throws when the program never made it. */
  of(name: string): Try {
    const found = this.all.find((one) => one.try === name);
    if (found === undefined) throw new Error(`no try '${name}' among: ${this.all.map((one) => one.try).join(" ")}`);
    return found;
  }
  /** try -> errno name ("OK", "ENOENT", or "signal 31"). A name that comes twice must say the same twice. */
  outcomes(): Record<string, string> {
    const found: Record<string, string> = {};
    for (const one of this.all) {
      const outcome = one.signal === undefined ? errnoText(one.errno) : `signal ${one.signal}`;
      found[one.try] = found[one.try] === undefined || found[one.try] === outcome ? outcome : `${found[one.try]}, ${outcome}`;
    }
    return found;
  }
}

/** Compiles an attack program; what they share is part of the key. */
export function attackProgram(name: string): string {
  const shared = createHash("sha256")
    .update(readFileSync(join(root, "test/fixtures/programs/attack.h")))
    .digest("hex");
  return fixtureProgram(name, { flags: ["-static", `-DATTACK_H="${shared.slice(0, 12)}"`] });
}

/** Where attack programs lie inside a sandbox. */
export const attackDir = "/attack";

export function volumeOf(name: string): readonly string[] {
  return ["-v", `${dirname(attackProgram(name))}:${attackDir}`];
}

export type SandboxedAttack = BelljarResult & { readonly tries: Tries };

/** Runs an attack program in a sandbox made with these options of `belljar run`. */
export async function attackInSandbox(
  name: string,
  args: readonly string[],
  { run = [], ...options }: BelljarOptions & { readonly run?: readonly string[] } = {},
): Promise<SandboxedAttack> {
  const command = ["run", ...volumeOf(name), ...run, "--", join(attackDir, basename(attackProgram(name))), ...args];
  const result = await belljar(command, options);
  return { ...result, tries: new Tries(`${result.stdout}\n${result.stderr}`) };
}

export interface OutsideOptions {
  readonly cwd?: string;
  /** The program's stdio (from 0 on), as descriptors; default: nothing, a pipe, a pipe. */
  readonly stdio?: readonly (number | "pipe" | "ignore")[];
  /** Words before the program: `unshare ...`. */
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A program that owns its namespaces: what an attacker would be without the sandbox's guards. */
export const ownNamespaces: readonly string[] = ["unshare", "-Urmnpu", "--mount-proc", "--fork", "--kill-child"];

/** Runs an attack program as the same user with no sandbox around it: the positive control. */
export function attackOutside(
  name: string,
  args: readonly string[],
  options: OutsideOptions = {},
): Tries & { readonly status: number | null } {
  const [command, ...words] = [...(options.prefix ?? []), attackProgram(name), ...args];
  const { status, stdout, stderr, error } = spawnSync(command as string, words, {
    cwd: options.cwd ?? tempDir("outside"),
    stdio: (options.stdio ?? ["ignore", "pipe", "pipe"]) as ("pipe" | "ignore")[],
    encoding: "utf8",
    timeout: 15_000,
    killSignal: "SIGKILL",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...options.env },
  });
  if (error) throw new Error(`${name} outside: ${error.message}\n${stdout}\n${stderr}`);
  if (status === 98) throw new Error(`${name}: ${stderr || "unknown operation"}`);
  return Object.assign(new Tries(`${stdout}\n${stderr}`), { status });
}

/** The same where this very process must answer meanwhile: it serves what the attack talks to. */
export async function attackOutsideAsync(
  name: string,
  args: readonly string[],
  options: { readonly ownNamespaces?: boolean } = {},
): Promise<Tries> {
  const [command, ...words] = [...(options.ownNamespaces ? ownNamespaces : []), attackProgram(name), ...args];
  const child = spawn(command as string, words, {
    cwd: tempDir("outside"),
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 15_000,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) stdout += chunk;
  return new Tries(stdout);
}

/** Writes a profile for this test; `default` is extended unless it says otherwise. Returns its path. */
export function profileFile(profile: Omit<Profile, "schemaVersion">): string {
  const path = join(tempDir("profile"), "test.json");
  writeFileSync(path, JSON.stringify({ schemaVersion: 1, name: "test", extends: "default", ...profile }));
  return path;
}

type Arguments = readonly string[] | ((canary: Canary) => readonly string[]);
const given = (args: Arguments, canary: Canary): readonly string[] => (typeof args === "function" ? args(canary) : args);

export interface GuardedAttack {
  readonly program: string;
  readonly args: Arguments;
  /** try -> what it gets in the sandbox. */
  readonly refused: Readonly<Record<string, ErrnoName | RegExp>>;
  /** try -> what it gets where the guard is off; default: OK for each of `refused`. */
  readonly succeeds?: Readonly<Record<string, ErrnoName>>;
  /**
   * How the guard is taken away. outside: no sandbox, same user. own-namespaces: no sandbox, with namespaces and capabilities of its own.
   * Otherwise options of `belljar run` that lift just that guard.
   */
  readonly control: "outside" | "own-namespaces" | { readonly run: () => readonly string[]; readonly args?: Arguments };
  /** More options of `belljar run` for the attack itself; the control has them too when it is a sandbox. */
  readonly run?: (canary: Canary) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly abilities?: readonly Ability[];
  readonly alsoExpect?: (attack: SandboxedAttack, canary: Canary) => void;
}

function expectOutcomes(tries: Tries, wanted: Readonly<Record<string, ErrnoName | RegExp>>, what: string): void {
  const found = tries.outcomes();
  const shown = Object.fromEntries(Object.keys(wanted).map((name) => [name, found[name] ?? "never tried"]));
  const expected = Object.fromEntries(
    Object.entries(wanted).map(([name, outcome]) => [name, outcome instanceof RegExp ? expect.stringMatching(outcome) : outcome]),
  );
  expect(shown, what).toEqual(expected);
}

/**
 * A test of one attack: it succeeds where the guard is off (so the attack is real), gets exactly the named errnos in the sandbox, and
 * the canary is untouched and in no output.
 */
export function attackTest(name: string, attack: GuardedAttack): void {
  needs("userns", ...(attack.abilities ?? []))(name, async () => {
    const env = attack.env;
    const { control } = attack;
    const succeeds =
      attack.succeeds ?? (Object.fromEntries(Object.keys(attack.refused).map((key) => [key, "OK"])) as Record<string, ErrnoName>);
    const decoy = plantCanary();
    if (typeof control === "object") {
      const args = given(control.args ?? attack.args, decoy);
      const lifted = await attackInSandbox(attack.program, args, {
        run: [...(attack.run?.(decoy) ?? []), ...envOptions(env), ...control.run()],
      });
      expectOutcomes(lifted.tries, succeeds, `control, guard off: ${lifted.stderr}`);
    } else {
      const prefix = control === "own-namespaces" ? ownNamespaces : [];
      const lifted = attackOutside(attack.program, given(attack.args, decoy), { prefix, ...(env ? { env } : {}) });
      expectOutcomes(lifted, succeeds, `control, ${control}`);
    }
    const canary = plantCanary();
    const sandboxed = await attackInSandbox(attack.program, given(attack.args, canary), {
      run: [...(attack.run?.(canary) ?? []), ...envOptions(env)],
    });
    expectOutcomes(sandboxed.tries, attack.refused, `in the sandbox: ${sandboxed.stderr}`);
    attack.alsoExpect?.(sandboxed, canary);
    canary.check(sandboxed.stdout, sandboxed.stderr, JSON.stringify(sandboxed.report));
  });
}

const envOptions = (env: Readonly<Record<string, string>> | undefined): readonly string[] =>
  Object.entries(env ?? {}).flatMap(([name, value]) => ["-e", `${name}=${value}`]);

/** A profile without the profile's seccomp rules (the base filter stays): `-p FILE`. */
export function withoutSeccomp(more: Omit<Profile, "schemaVersion"> = {}): readonly string[] {
  return ["-p", profileFile({ seccomp: { extends: "none" }, comments: { "seccomp.extends": "positive control" }, ...more })];
}

/** The most that a profile can give without leaving the host's rootfs: uid 0 inside, every capability, no seccomp rules, full /proc. */
export function allPowerful(): string {
  return profileFile({
    user: { uid: 0, gid: 0 },
    capabilities: Object.keys(capabilityNumbers),
    proc: "full",
    seccomp: { extends: "none" },
    comments: { capabilities: "what is left when all else is given away", "seccomp.extends": "the same", proc: "the same" },
  });
}
