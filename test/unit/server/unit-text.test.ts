import { expect, test } from "vitest";
import { unitText } from "../../../cli/commands/serve-unit.ts";

test("words of a unit's command line mean themselves to systemd", () => {
  const text = unitText({
    command: ["/usr/bin/node", "/a b/x.js", "--set", 'name="50%"', "$HOME", "back\\slash", "two\nlines", ""],
    what: "profile 100%",
    folder: "/home/u/my 5%",
  });
  expect(text).toContain('ExecStart=/usr/bin/node "/a b/x.js" --set "name=\\"50%%\\"" "$$HOME" "back\\\\slash" "two\\nlines" ""\n');
  expect(text).toContain("(profile 100%%)\n");
});

test("relative paths of the command begin where it was asked for", () => {
  const text = (folder: string) => unitText({ command: ["x"], what: "x", folder });
  expect(text("/home/u/my 5%")).toContain("\nWorkingDirectory=/home/u/my 5%%\n");
  for (const folder of ["/a\nExecStartPre=/bin/false", "/a\\", "/a ", "/a\r"])
    expect(() => text(folder)).toThrow(/is a folder that a unit cannot name/);
});
