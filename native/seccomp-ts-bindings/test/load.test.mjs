// Filters in force; what is done lies in programs/.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

function run(program, ...args) {
  const path = fileURLToPath(new URL(`programs/${program}`, import.meta.url));
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [path, ...args], { encoding: "utf8", timeout: 30_000 });
  assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: "" });
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("a loaded filter is in force, for the thread or for all", () => {
  assert.deepEqual(run("in-force.mjs", "0"), [["ENOENT", "ENOENT"], ["EPROTONOSUPPORT", "ENOENT"], true]);
  assert.deepEqual(run("in-force.mjs", "1"), [["ENOENT", "ENOENT"], ["EPROTONOSUPPORT", "EPROTONOSUPPORT"], true]);
});

test("a supervisor answers a call with a value, an errno, or lets it go on", () => {
  const [before, ...rest] = run("supervised.mjs");
  assert.equal(before, null);
  const after = rest.pop();
  const { results } = rest.pop();
  // Node gives what getppid gave, which has no errors.
  assert.deepEqual(results, [4242, -13, process.pid]);
  assert.equal(rest.length, 3);
  for (const { again, ...call } of rest) {
    assert.deepEqual(call, { waits: true, still: false, own: true, ours: true, known: true });
    // EINPROGRESS: the caller has its answer and has not woken yet.
    assert.deepEqual(again.slice(0, 2), ["seccomp_notify_respond", "ECANCELED"]);
    assert.ok(["ENOENT", "EINPROGRESS"].includes(again[2]), again[2]);
  }
  assert.deepEqual(after, [null, ["seccomp_notify_id_valid", "EOPNOTSUPP", null]]);
});

test("a receiver waits no longer than it is told, and learns that nobody is left", () => {
  const [waited, ended] = run("left-alone.mjs");
  assert.deepEqual(waited, [null, null]);
  assert.deepEqual(ended, ["seccomp_notify_receive", "EPIPE", null]);
});

test("what the kernel refuses is told with the kernel's errno", () => {
  assert.deepEqual(run("refused.mjs"), [
    ["seccomp_load", "ECANCELED", "EOPNOTSUPP"],
    ["seccomp_load", "EOPNOTSUPP", null],
  ]);
});
