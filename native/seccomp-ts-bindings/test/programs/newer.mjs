import assert from "node:assert/strict";
import { actions, Filter } from "seccomp-ts-bindings";

const filter = new Filter(actions.allow);
filter.precompute();
filter.startTransaction();
filter.commitTransaction();
assert.throws(() => filter.commitTransaction(), { operation: "seccomp_transaction_commit", code: "EINVAL" });
filter.startTransaction();
filter.rejectTransaction();
filter.release();
assert.throws(() => filter.precompute(), TypeError);
