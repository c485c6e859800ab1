import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errorCodes } from "../../../policy/errors.ts";

test("docs/errors.md lists every code, and none that does not exist", () => {
  const text = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
  const listed = [...text.matchAll(/^\| `([a-z-]+)` \|/gm)].map((match) => match[1]);
  expect(listed.toSorted()).toEqual([...errorCodes].sort());
});
