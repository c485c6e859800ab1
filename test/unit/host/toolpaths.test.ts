import { expect, test } from "vitest";
import { outsideTool, toolHint } from "../../../cli/host/toolpaths.ts";
import { fakeHost } from "./tree.ts";

const program = { text: "", mode: 0o755 };
const tree = {
  "/usr/bin/perl": program,
  "/usr/bin/node": { link: "../../opt/node/bin/node" },
  "/opt/node/bin/node": program,
  "/home/a/.nvm/versions/node/v20/bin/node": program,
  "/home/a/.pyenv/shims/python3": program,
  "/home/a/bin/ruby": program,
  "/home/a/.local/bin/lua": program,
  "/home/a/plain/go": { text: "", mode: 0o644 },
};
const find = (name: string, path: string) => outsideTool(fakeHost(tree).files, name, { PATH: path, HOME: "/home/a" });

test.each([
  ["perl", "/usr/bin", null],
  ["perl", "/home/a/bin:/usr/bin", null],
  [
    "node",
    "/home/a/.nvm/versions/node/v20/bin:/usr/bin",
    { folder: "/home/a/.nvm/versions/node/v20", binFolder: "/home/a/.nvm/versions/node/v20/bin" },
  ],
  ["node", "/usr/bin", { folder: "/opt/node", binFolder: "/opt/node/bin" }],
  ["python3", "/home/a/.pyenv/shims", { folder: "/home/a/.pyenv", binFolder: "/home/a/.pyenv/shims" }],
  ["go", "/home/a/plain", null],
  ["absent", "/usr/bin", null],
  ["../x", "/usr/bin", null],
  ["perl", "relative:", null],
])("%s in %s", (name, path, expected) => {
  if (expected === null) expect(find(name, path)).toBeNull();
  else expect(find(name, path)).toMatchObject(expected);
});

test.each([
  ["ruby", "/home/a/bin"],
  ["lua", "/home/a/.local/bin"],
])("%s: never the home itself, nor what holds the user's data", (name, folder) => expect(find(name, folder)).toMatchObject({ folder }));

test("the hint names both options", () => {
  const tool = find("node", "/home/a/.nvm/versions/node/v20/bin");
  if (tool === null) throw new Error("not found");
  expect(toolHint(tool)).toContain(
    "-v /home/a/.nvm/versions/node/v20:/home/a/.nvm/versions/node/v20 -e PATH=/home/a/.nvm/versions/node/v20/bin:/usr/local/bin:/usr/bin:/bin",
  );
});
