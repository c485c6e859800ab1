/** A sandbox in a sandbox: the kernel allows one listener for a task and its ancestors, so only the outer one can audit. */
import { expect } from "vitest";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { needs } from "../helpers/abilities.ts";
import { belljarCommand, belljarRun } from "../helpers/belljar.ts";
import { root } from "../helpers/places.ts";

const ptrace = "import ctypes; l = ctypes.CDLL(None, use_errno=True); l.ptrace(16, 1, 0, 0); print(ctypes.get_errno())";

needs(
  "userns",
  "node",
  "python3",
)("belljar in belljar runs, refuses, and says that its audit is off", async () => {
  const allowed = ["--set", 'namespaces={"user":"allow","comment":"belljar within belljar"}'];
  // The outer /proc shows processes only, so the kernel makes no new one within.
  const inner = [...belljarCommand, "run", "--json", ...allowed, "--set", "proc=none", "--", "python3", "-c", ptrace];
  // As one word: whose report is whose.
  const script = `exec ${inner.map((word) => `'${word}'`).join(" ")}`;
  const { code, stdout, report } = await belljarRun([...allowed, "-v", `${root}:${root}`, "--", "sh", "-c", script]);
  expect(code, stdout).toBe(0);
  const within = JSON.parse(stdout) as { readonly report: RunReport; readonly stdout: string };
  expect(within.stdout).toBe("1\n");
  expect(within.report).toMatchObject({ verdict: "ok", denials: null, enforcement: { seccomp: "enforced", audit: "none" } });
  // The control: the outer sandbox has the listener.
  expect(report.enforcement).toMatchObject({ seccomp: "enforced", audit: "enforced" });
});
