import { describe, expect, test } from "vitest";
import { printable, printableLines, quoted } from "../../../cli/output/terminal.ts";

describe("printable", () => {
  test("shows control characters instead of sending them", () => {
    expect(printable("\u001b[2J\u0007\u0000\u007f")).toBe("\\x1b[2J\\x07\\x00\\x7f");
    expect(printable("a\r\nb\tc")).toBe("a\\r\\nb\\tc");
    expect(printable("\u009b31m")).toBe("\\x9b31m");
  });
  test("shows direction overrides, zero-width characters, tags and lone surrogates", () => {
    expect(printable("exe\u202egpj")).toBe("exe\\u{202e}gpj");
    expect(printable("a\u2066b\u200bc\ufeff")).toBe("a\\u{2066}b\\u{200b}c\\u{feff}");
    expect(printable("\u{e0041}")).toBe("\\u{e0041}");
    expect(printable("\ud800x")).toBe("\\u{d800}x");
  });
  test("leaves all other text alone", () => {
    for (const text of ["plain", "größe 大きさ", "👩", "a'b\\c"]) expect(printable(text)).toBe(text);
  });
  test("keeps line feeds only where lines are wanted", () => {
    expect(printableLines("a\n  \u001bb\n  c")).toBe("a\n  \\x1bb\n  c");
    expect(printableLines("a\nhint: b\nbelljar: c")).toBe("a\\nhint: b\\nbelljar: c");
    expect(quoted("a\nb")).toBe("'a\\nb'");
  });
});
