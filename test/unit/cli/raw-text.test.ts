import { describe, expect, test } from "vitest";
import { checkArgumentBytes, checkVariableBytes, firstInvalid } from "../../../cli/run/raw-text.ts";
import { caught } from "./caught.ts";

describe("texts that Node has changed", () => {
  const cmdline = (...words: readonly (string | Buffer)[]) => Buffer.concat(words.flatMap((word) => [Buffer.from(word), Buffer.from([0])]));
  test("the first that is no UTF-8 is named, byte by byte", () => {
    expect(firstInvalid(cmdline("node", "a\ufffd", "", "ä"))).toBeNull();
    expect(firstInvalid(cmdline("node", Buffer.from([0x61, 0xff, 0x62]), Buffer.from([0xfe])))).toBe("a\\xffb");
    expect(firstInvalid(Buffer.from([0xc3]))).toBe("\\xc3");
    expect(firstInvalid(Buffer.alloc(0))).toBeNull();
  });
  test("the character itself is text like any other", () => {
    expect(caught(() => checkArgumentBytes(["a", "\ufffd"]))).toBeUndefined();
  });
  test("a variable whose bytes are not to be seen counts as changed; any other is not looked at", () => {
    expect(caught(() => checkVariableBytes("BELLJAR_NO_SUCH", "\ufffd"))).toMatchObject({
      code: "usage",
      message: expect.stringContaining("'BELLJAR_NO_SUCH'"),
    });
    expect(caught(() => checkVariableBytes("BELLJAR_NO_SUCH", "ä"))).toBeUndefined();
  });
});
