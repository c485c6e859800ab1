// What libseccomp has had since 2.6: there it works, before it is a typed error. See programs/newer.c.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { actions, attributes, Filter, SeccompError, SeccompUnsupportedError, version } from "seccomp-ts-bindings";

const newer = version().minor >= 6;
const uses = {
  seccomp_precompute: (filter) => filter.precompute(),
  seccomp_transaction_start: (filter) => filter.startTransaction(),
  seccomp_transaction_commit: (filter) => filter.commitTransaction(),
  seccomp_transaction_reject: (filter) => filter.rejectTransaction(),
  seccomp_attr_set: (filter) => filter.setAttribute(attributes.waitKillable, 1),
  seccomp_attr_get: (filter) => filter.getAttribute(attributes.waitKillable),
};

test("an older libseccomp: unsupported, and by which version it would be", { skip: newer && "libseccomp is new enough" }, () => {
  for (const [operation, use] of Object.entries(uses)) {
    assert.throws(
      () => use(new Filter(actions.allow)),
      (error) => {
        assert.ok(error instanceof SeccompUnsupportedError && error instanceof SeccompError);
        assert.deepEqual([error.operation, error.code, error.since, error.systemCode], [operation, "EOPNOTSUPP", "2.6", null]);
        assert.match(error.message, /: needs libseccomp 2\.6 or later$/);
        return true;
      },
    );
  }
});

test("a transaction that is rejected leaves no rule", { skip: !newer && "libseccomp is too old" }, () => {
  const filter = new Filter(actions.allow);
  filter.addRule(actions.errno(1), 0);
  filter.precompute();
  const before = filter.exportPfc();
  filter.startTransaction();
  filter.addRule(actions.errno(1), 1);
  filter.rejectTransaction();
  assert.equal(filter.exportPfc(), before);
  filter.startTransaction();
  filter.addRule(actions.errno(1), 1);
  filter.commitTransaction();
  assert.notEqual(filter.exportPfc(), before);
  assert.throws(() => filter.commitTransaction(), SeccompError);
  filter.setAttribute(attributes.waitKillable, 1);
  assert.equal(filter.getAttribute(attributes.waitKillable), 1);
});

test("the functions are found at run time, whatever the addon was built against", { skip: newer && "they are the library's own" }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "seccomp-ts-bindings-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const library = join(folder, "newer.so");
  const source = fileURLToPath(new URL("programs/newer.c", import.meta.url));
  execFileSync(process.env.CC ?? "cc", ["-shared", "-fPIC", "-o", library, source]);
  const program = fileURLToPath(new URL("programs/newer.mjs", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [program], { encoding: "utf8", env: { ...process.env, LD_PRELOAD: library } });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
});
