import { describe, expect, test } from "vitest";
import { imageCompletions } from "../../../cli/commands/complete-images.ts";

const digest = `sha256:${"1".repeat(64)}`;
const names = [
  "docker.io/library/debian:12",
  "docker.io/library/debian:13",
  "docker.io/owner/tool:1",
  "localhost:5000/team/x:2",
  `ghcr.io/o/p@${digest}`,
  "not a reference",
  "evil\u001b[31m:1",
  "$(touch pwned)",
  null,
];
const all = ["debian:12", "debian:13", `ghcr.io/o/p@${digest}`, "localhost:5000/team/x:2", "owner/tool:1"];

/** As bash splits a line. */
const split = (line: string): string[] =>
  line.split(" ").flatMap((word) => word.split(/([:=@]+)/).filter((part, i) => part !== "" || i === 0));
const inBash = (line: string) => imageCompletions(split(line), names, "bash");
const inZsh = (line: string) => imageCompletions(line.split(" "), names, "zsh");

describe("names of images", () => {
  test.each<[string, readonly string[] | null]>([
    ["belljar run -i ", all],
    ["belljar run -q --image ", all],
    ["belljar run --image=", all],
    ["belljar run -i deb", ["debian:12", "debian:13"]],
    ["belljar run -i debian:", ["12", "13"]],
    ["belljar run -i debian:12", ["12"]],
    ["belljar run --image=debian:", ["12", "13"]],
    ["belljar run -i docker.io/lib", ["docker.io/library/debian:12", "docker.io/library/debian:13"]],
    ["belljar run -i localhost:", ["5000/team/x:2"]],
    ["belljar run -i localhost:5000/team/x:", ["2"]],
    ["belljar run -i ghcr.io/o/p@sha256:1", ["1".repeat(64)]],
    ["belljar run -i nothing", []],
    ["belljar run -i debian:12 ", null],
    ["belljar run -p ", null],
    ["belljar run -- sh -i ", null],
    ["belljar image rm ", all],
    ["belljar image rm debian:12 own", ["owner/tool:1"]],
    ["belljar image inspect debian:1", ["12", "13"]],
    ["belljar image rm -", null],
    ["belljar image save -o ", null],
    ["belljar image load -i ", null],
    ["belljar image ", null],
    ["belljar ", null],
  ])("bash: %s", (line, expected) => {
    const found = inBash(line);
    expect(found === null ? null : [...found].sort()).toEqual(expected === null ? null : [...expected].sort());
  });
  test.each<[string, readonly string[] | null]>([
    ["belljar run -i debian:", ["debian\\:12", "debian\\:13"]],
    ["belljar run --image=own", ["--image=owner/tool\\:1"]],
    ["belljar run -i deb ", null],
  ])("zsh: %s", (line, expected) => expect(inZsh(line)).toEqual(expected));
});
