// Kind of fault: a host that forbids part of what a sandbox needs, and an error that does not say which part.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { profileFile } from "../helpers/attack.ts";
import { belljar, belljarCommand, belljarRun } from "../helpers/belljar.ts";
import { fixtureProgram } from "../helpers/compile.ts";
import { root } from "../helpers/places.ts";

/** Runs belljar behind these words, in whatever they make of the world. */
const behind = (...words: readonly string[]) => ({ program: [...words, ...belljarCommand], report: false });

needs("userns")("no user namespaces left (user.max_user_namespaces = 0): said, with its own hint", async () => {
  const script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps -all --inh-caps -all "$@"';
  const result = await belljar(
    ["run", "--", "true"],
    behind("unshare", "-U", "--map-current-user", "--keep-caps", "sh", "-c", script, "sh"),
  );
  expect(result.code).toBe(125);
  expect(result.stderr).toMatch(/^belljar: .*\nhint: .*max_user_namespaces/);
});

needs("userns")("a filter around us that refuses clone: said, and not blamed on the program", async () => {
  const result = await belljar(["run", "--", "true"], behind(fixtureProgram("deny-namespaces")));
  expect(result.code).toBe(125);
  expect(result.stderr).toMatch(/^belljar: .*clone.*\nhint: .*(seccomp|container|filter)/i);
});

needs("userns", "proc")("an over-mounted /proc outside: refused with the reason, never run with a wrong /proc", async () => {
  const words = [
    "unshare",
    "-Urpf",
    "--mount-proc",
    "sh",
    "-c",
    'mount --bind /dev/null /proc/version && exec unshare -U --map-user=1000 --map-group=1000 "$@"',
    "sh",
  ];
  const result = await belljar(["run", "--", "true"], behind(...words));
  expect(result.code).toBe(125);
  expect(result.stdout).toBe("");
  expect(result.stderr).toMatch(/^belljar: .*proc/);
  expect(result.stderr).toMatch(/hint: /);
  // A profile may do without, and may take the host's: then it runs.
  const without = await belljar(["run", "--set", "proc=none", "--", "true"], behind(...words));
  expect([without.code, without.stderr]).toEqual([0, ""]);
});

needs("userns")("in a user and pid namespace of the caller's own it runs", async () => {
  const words = ["unshare", "-Urpf", "--mount-proc", "unshare", "-U", "--map-user=1000", "--map-group=1000"];
  const result = await belljar(["run", "--", "echo", "nested"], behind(...words));
  expect([result.code, result.stdout, result.stderr]).toEqual([0, "nested\n", ""]);
});

needs("userns", "node")("belljar within belljar: where the profile allows it", async () => {
  // Inside the outer one /proc is masked and /proc/sys read-only: the inner one says so, and runs when told to do without both.
  const inner = [
    "node",
    "/belljar/dist/belljar.js",
    "run",
    "--set",
    "namespaces.user=allow",
    "--set",
    "proc=none",
    "-q",
    "--",
    "echo",
    "inner",
  ];
  const refused = await belljarRun(["-v", `${root}:/belljar`, "--", ...inner]);
  expect(refused.code).toBe(125);
  expect(refused.stderr).toMatch(/belljar: .*/);
  const allowed = profileFile({
    namespaces: { user: "allow", comment: "a sandbox in a sandbox" },
    proc: "full",
    comments: { proc: "the inner one needs a whole one to mount its own" },
  });
  const nested = await belljarRun(["-q", "-p", allowed, "-v", `${root}:/belljar`, "--", ...inner]);
  expect([nested.code, nested.stdout, nested.stderr]).toEqual([0, "inner\n", ""]);
});
