import { expect, test } from "vitest";
import { findCommand, freeRange, freeSubordinateIds, parseSubordinateIds, subordinateFacts } from "../../../cli/host/subid.ts";
import { fakeHost } from "./tree.ts";

const alice = { name: "alice", uid: 1000 };

test("ranges by name and by number, in order; everything else is left out", () => {
  const text = "# comment\nalice:100000:65536\nbob:165536:65536\n1000:300000:1000\nalice:x:1\nalice:5:0\nalice:7\nalicex:1:1\n\n";
  expect(parseSubordinateIds(text, alice)).toEqual([
    { start: 100000, count: 65536 },
    { start: 300000, count: 1000 },
  ]);
});

test.each([
  ["", 100000],
  ["a:100000:65536\n", 165536],
  ["a:100000:65536\nb:524288:65536\nrubbish\n", 165536],
  ["b:131072:65536\n", 196608],
  ["b:165536:65536\na:100000:65536\nc:240000:10", 240010],
  ["b:4294900000:60000\na:100000:65536", 165536],
])("a free range beside %j", (text, start) => expect(freeRange(text)).toEqual({ start, count: 65536 }));

test("no free range: none is made up", () => expect(freeRange("a:100000:4294860000\n")).toBeNull());

test("what is proposed is free in both files: an overlap would share files between accounts", () => {
  const { files } = fakeHost({ "/etc/subuid": "bob:100000:65536\n", "/etc/subgid": "bob:165536:65536\n" });
  expect(freeSubordinateIds(files)).toEqual({ start: 231072, count: 65536 });
});

test("facts of a host without the files", () => {
  expect(subordinateFacts(fakeHost({}).files, alice)).toMatchObject({ uids: [], gids: [] });
});

test("helpers are never looked for in the caller's PATH, which anybody may have written", () => {
  expect(findCommand("sh", "")).toMatch(/^\/(usr\/)?bin\/sh$/);
  expect(findCommand("belljar-no-such-command", "/usr/bin")).toBeNull();
  expect(findCommand("sh", "relative:.:/nonexistent")).toMatch(/^\/(usr\/)?bin\/sh$/);
});
