// For the tiers that start belljar. Their subject is an ordinary user's sandbox: as root they would prove nothing.
import { afterEach, beforeEach } from "vitest";
import { assertNoLeaks, mounts, orphanedCgroups } from "./leaks.ts";

if (process.getuid?.() === 0 && process.env["BELLJAR_TEST_AS_ROOT"] === undefined) {
  throw new Error("this tier runs as an ordinary user: start it by `npm test -- PATH`, which becomes one");
}

let before: readonly string[] = [];
let cgroups: readonly string[] = [];

beforeEach(() => {
  before = mounts();
  cgroups = orphanedCgroups();
});

afterEach(() => assertNoLeaks(before, cgroups));
