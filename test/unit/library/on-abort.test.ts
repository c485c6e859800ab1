import { expect, test, vi } from "vitest";
import { onAbort } from "../../../cli/library/on-abort.ts";

test("any number hear of one abort by one listener; who has undone it does not", () => {
  const controller = new AbortController();
  const add = vi.spyOn(controller.signal, "addEventListener");
  const heard: number[] = [];
  const undo = Array.from({ length: 30 }, (_, index) => onAbort(controller.signal, () => heard.push(index)));
  expect(add).toHaveBeenCalledTimes(1);
  for (const one of undo.slice(2)) one();
  controller.abort();
  expect(heard).toEqual([0, 1]);
  onAbort(controller.signal, () => heard.push(99));
  expect(heard).toEqual([0, 1, 99]);
});

test("one that comes when all others have gone is heard too; no signal is never heard", () => {
  const controller = new AbortController();
  onAbort(controller.signal, () => undefined)();
  const callback = vi.fn();
  onAbort(controller.signal, callback);
  onAbort(undefined, callback)();
  controller.abort();
  expect(callback).toHaveBeenCalledTimes(1);
});
