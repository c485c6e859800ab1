import { describe, expect, test } from "vitest";
import { parseAccounts } from "../../../cli/image/accounts.ts";
import { imageUser } from "../../../cli/run/image-user.ts";
import { caught } from "./caught.ts";

const accounts = {
  passwd: "root:x:0:0:root:/root:/bin/sh\napp:x:1234:1235::/app:/bin/sh\nbroken\n7:x:8:9::/:/bin/sh\nbig:x:4294967295:0::/:/bin/sh\n",
  group: "root:x:0:\nstaff:x:50:app,other\nwheel:x:10:other,app\nmine:x:1235:app\n",
};
const user = (text: string, from = accounts) => imageUser({ text, what: "'--user'", code: "usage" }, from);

describe("who a user of an image is", () => {
  test.each([
    ["app", { uid: 1234, gid: 1235, groups: [50, 10] }],
    ["1234", { uid: 1234, gid: 1235, groups: [50, 10] }],
    ["app:wheel", { uid: 1234, gid: 10, groups: [] }],
    ["app:7", { uid: 1234, gid: 7, groups: [] }],
    ["55", { uid: 55, gid: 0, groups: [] }],
    ["55:66", { uid: 55, gid: 66, groups: [] }],
    ["0", { uid: 0, gid: 0, groups: [] }],
    // A name of digits is a name first.
    ["7", { uid: 8, gid: 9, groups: [] }],
  ])("%s", (text, ids) => {
    expect(user(text)).toEqual(ids);
  });
  test.each([
    ["nobody", "no such user"],
    ["app:nogroup", "no such group"],
    ["a:b:c", "is not UID"],
    [":5", "is not UID"],
    ["5:", "is not UID"],
    ["big", "ids go up to"],
    ["4294967295", "ids go up to"],
  ])("refused: %s", (text, words) => {
    expect(caught(() => user(text))).toMatchObject({ code: "usage", message: expect.stringContaining(words) });
  });
  test("without files of its own an image knows numbers", () => {
    expect(imageUser({ text: "5:6", what: "", code: "usage" }, { passwd: null, group: null })).toEqual({ uid: 5, gid: 6, groups: [] });
    expect(caught(() => imageUser({ text: "app", what: "", code: "image-invalid" }, { passwd: null, group: null }))).toMatchObject({
      code: "image-invalid",
      hint: expect.stringContaining("UID:GID"),
    });
  });
});

describe("what the helper answers", () => {
  test.each([
    ["3\na\nb-\n", { passwd: "a\nb", group: null }],
    ["-\n2\nxy", { passwd: null, group: "xy" }],
    ["0\n0\n", { passwd: "", group: "" }],
  ])("%j", (text, expected) => {
    expect(parseAccounts(Buffer.from(text))).toEqual(expected);
  });
  test.each(["", "5\nab", "x\n-\n", "-\n"])("cut off: %j", (text) => {
    expect(caught(() => parseAccounts(Buffer.from(text)))).toMatchObject({ code: "internal" });
  });
});
