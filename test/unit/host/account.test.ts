import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { becomeOrdinary, findAccount, isRootInNameOnly } from "../../../cli/host/account.ts";
import { needs } from "../../helpers/abilities.ts";

const passwd =
  "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice,,,:/home/alice:/bin/bash\nhomeless:x:1002:1002:::\n+nis\nbad:x:y:z:::\n";

test.each([
  ["alice", { name: "alice", uid: 1000, gid: 1001, home: "/home/alice" }],
  ["1000", { name: "alice", uid: 1000, gid: 1001, home: "/home/alice" }],
  ["homeless", { name: "homeless", uid: 1002, gid: 1002, home: "/" }],
  ["root", { name: "root", uid: 0, gid: 0, home: "/root" }],
  ["nobody-here", null],
  ["bad", null],
  ["", null],
])("findAccount(%j)", (name, account) => expect(findAccount(passwd, name)).toEqual(account));

test.each([
  ["         0          0 4294967295\n", false],
  ["         0       1000          1\n", true],
  ["         0          0          1\n", false],
  ["         0       1000          1\n         1     100000      65536\n", false],
  ["      1000       1000          1\n", false],
])("isRootInNameOnly(%j)", (map, expected) => expect(isRootInNameOnly(map)).toBe(expected));

describe.skipIf(process.getuid?.() === 0)("as an ordinary user", () => {
  test("nothing happens", () => {
    const before = { ...process.env };
    expect(becomeOrdinary({ configured: "root" })).toBeNull();
    expect(becomeOrdinary({ runAs: String(process.getuid?.()) })).toBeNull();
    expect({ ...process.env }).toEqual(before);
  });

  test("another account cannot be had", () => {
    expect(() => becomeOrdinary({ runAs: "root" })).toThrow(expect.objectContaining({ code: "root-refused", hint: "leave out --run-as" }));
  });
});

needs("userns")("a user namespace in which root is but a name", () => {
  const map = spawnSync("unshare", ["-Ur", "cat", "/proc/self/uid_map"], { encoding: "utf8" }).stdout;
  expect(isRootInNameOnly(map)).toBe(process.getuid?.() !== 0);
});
