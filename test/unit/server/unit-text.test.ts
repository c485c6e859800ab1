import { expect, test } from "vitest";
import { unitText } from "../../../cli/commands/serve-unit.ts";

test("words of a unit's command line mean themselves to systemd", () => {
  const text = unitText(["/usr/bin/node", "/a b/x.js", "--set", 'name="50%"', "$HOME", "back\\slash", "two\nlines", ""], "profile 100%");
  expect(text).toContain('ExecStart=/usr/bin/node "/a b/x.js" --set "name=\\"50%%\\"" "$$HOME" "back\\\\slash" "two\\nlines" ""\n');
  expect(text).toContain("(profile 100%%)\n");
});
