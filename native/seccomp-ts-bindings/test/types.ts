/** Never run: the compiler checks that the types let right uses through, and no wrong one. */
import {
  actions,
  type Condition,
  Filter,
  type Notification,
  receiveNotification,
  respondNotification,
  syscallNumber,
} from "seccomp-ts-bindings";

export function rightUses(filter: Filter): readonly bigint[] | undefined {
  const conditions: readonly Condition[] = [
    { index: 0, op: "eq", value: 1 },
    { index: 1, op: "maskedEq", mask: 0xffn, value: 1n },
  ];
  const number: number | null = syscallNumber(0, "read");
  if (number !== null) filter.addRule(actions.errno(1), number, conditions, { exact: true });
  const call: Notification | null = receiveNotification(3, { timeoutMs: 5 });
  if (call !== null) respondNotification(3, { id: call.id, errno: 1 });
  return call?.args;
}

export function wrongUses(filter: Filter, call: Notification): void {
  // @ts-expect-error: a mask belongs to maskedEq
  filter.addRule(actions.trap, 0, [{ index: 0, op: "eq", mask: 1, value: 1 }]);
  // @ts-expect-error: maskedEq needs a mask
  filter.addRule(actions.trap, 0, [{ index: 0, op: "maskedEq", value: 1 }]);
  // @ts-expect-error: calls have six arguments
  filter.addRule(actions.trap, 0, [{ index: 6, op: "eq", value: 1 }]);
  // @ts-expect-error: an unknown name gives null
  filter.addRule(actions.trap, syscallNumber(0, "read"));
  // @ts-expect-error: one answer
  respondNotification(3, { id: call.id, errno: 1, continue: true });
  // @ts-expect-error: an answer
  respondNotification(3, { id: call.id });
  // @ts-expect-error: ids are 64 bits wide
  respondNotification(3, { id: 1, value: 0 });
  // @ts-expect-error: actions are numbers
  new Filter("allow");
}
