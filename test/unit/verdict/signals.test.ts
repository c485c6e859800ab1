import { constants } from "node:os";
import { expect, test } from "vitest";
import { signalName, signalNumber } from "../../../policy/verdict/index.ts";

test("the table is this system's", () => {
  const aliases = new Set(["SIGIOT", "SIGPOLL", "SIGUNUSED"]);
  const own = Object.entries(constants.signals).filter(([name]) => !aliases.has(name));
  expect(own.length).toBeGreaterThan(28);
  for (const [name, number] of own) expect(signalName(number)).toBe(name);
});

test("every number has one name, and back", () => {
  const names = Array.from({ length: 64 }, (_, i) => signalName(i + 1));
  expect(new Set(names).size).toBe(64);
  names.forEach((name, i) => {
    expect(signalNumber(name)).toBe(i + 1);
  });
  expect([signalName(32), signalName(34), signalName(64), signalName(65)]).toEqual(["SIG32", "SIGRTMIN", "SIGRTMIN+30", "SIG65"]);
  expect(signalNumber("SIGFOO")).toBeNull();
});
