/** Rows of the table: what a judge's programs meet that are no limit's fault, and limits that are a process's own. */
import type { Command, Group, Limits } from "./kinds.ts";

const run = (language: string, ...argv: readonly string[]): Command => ({ kind: "host", argv, language });

/** For programs of the host's, which are bigger than those that the other rows measure. */
const roomy: Limits = { memory: "128M" };

export const judge: Group = {
  title: "Small things of a judge",
  programs: [
    {
      name: "a writer whose reader has gone",
      command: run("shell", "bash", "-c", "set -o pipefail; yes | head -n 1"),
      limits: roomy,
      expected: { verdict: "exit-nonzero", exitCode: 141, stdout: "y\n" },
    },
    {
      name: "reads an input that is not given",
      command: run("shell", "cat"),
      limits: roomy,
      expected: { verdict: "ok", exitCode: 0, stdout: "" },
    },
    {
      name: "a file beyond the file size limit, in Python",
      command: run("Python", "python3", "-c", "open('/work/x','wb').write(b'x'*10**7)"),
      limits: { ...roomy, fileSize: "4M" },
      expected: { verdict: "exit-nonzero", exitCode: 1 },
      needs: ["python3"],
    },
    {
      name: "opens files until refused",
      command: run(
        "Python",
        "python3",
        "-c",
        "a=[]\ntry:\n  while True: a.append(open('/dev/null'))\nexcept OSError as e: print(e.errno, len(a) < 32)",
      ),
      limits: { ...roomy, openFiles: 32 },
      expected: { verdict: "ok", exitCode: 0, stdout: "24 True\n" },
      needs: ["python3"],
    },
    {
      name: "starts a child that was stopped, and ends",
      command: run("shell", "sh", "-c", "sh -c 'kill -STOP $$' & printf done"),
      limits: roomy,
      expected: { verdict: "ok", exitCode: 0, stdout: "done" },
    },
  ],
};
