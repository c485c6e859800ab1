// A host file that the caller may read and write, reached for from inside: by path, by links, through /proc.
import { expect } from "vitest";
import { allPowerful, attackTest } from "../helpers/attack.ts";

const program = "attack-files";

attackTest("reads a host file by its path", {
  program,
  args: ({ path }) => ["read", path],
  refused: { read: "ENOENT" },
  control: "outside",
});

attackTest("writes, appends to and truncates a host file by its path", {
  program,
  args: ({ path }) => ["write", path, "append", path, "truncate", path, "open-truncate", path],
  refused: { write: "ENOENT", append: "ENOENT", truncate: "ENOENT", "open-truncate": "ENOENT" },
  control: "outside",
});

attackTest("creates a file and a directory beside a host file", {
  program,
  args: ({ path }) => ["create", `${path}.new`, "mkdir", `${path}.dir`],
  refused: { create: "ENOENT", mkdir: "ENOENT" },
  control: "outside",
});

attackTest("removes, renames and replaces a host file", {
  program,
  args: ({ path }) => ["replace", path, "unlink", path],
  refused: { replace: "ENOENT", unlink: "ENOENT" },
  control: "outside",
});

attackTest("changes the mode, times and links of a host file", {
  program,
  args: ({ path }) => ["chmod", path, "utimes", path, "hardlink", path],
  refused: { chmod: "ENOENT", utimes: "ENOENT", hardlink: "ENOENT" },
  control: "outside",
});

attackTest("reads a host file by more .. than there are directories", {
  program,
  args: ({ path }) => ["read-dot-dot", path],
  refused: { "read-dot-dot": "ENOENT" },
  control: "outside",
});

attackTest("reads a host file by .. from a directory descriptor", {
  program,
  args: ({ path }) => ["read-openat", path],
  refused: { "read-openat": "ENOENT" },
  control: "outside",
});

attackTest("reads and writes a host file through a symlink of its own", {
  program,
  args: ({ path }) => ["read-symlink", path, "write-symlink", path],
  refused: { "read-symlink": "ENOENT", "write-symlink": "ENOENT" },
  control: "outside",
});

attackTest("reads a host file through the root and cwd of every process that it sees", {
  program,
  args: ({ path }) => ["read-processes", path],
  refused: { "read-processes": "OK" },
  control: "outside",
  alsoExpect: ({ tries }) => expect(tries.of("read-processes").text).toMatch(/^nothing in \d processes$/),
});

attackTest("reads a host file through the root and cwd of process 1, as uid 0 with every capability", {
  program,
  args: ({ path }) => ["read", `/proc/1/root${path}`, "list", "/proc/1/cwd", "read-processes", path],
  refused: { read: /^(EACCES|EPERM)$/, list: /^(EACCES|EPERM)$/, "read-processes": "OK" },
  succeeds: { read: "OK", "read-processes": "OK" },
  control: "own-namespaces",
  run: () => ["-p", allPowerful()],
  alsoExpect: ({ tries }) => expect(tries.of("read-processes").text).toMatch(/^nothing in \d processes$/),
});

attackTest("reads a host file through magic links of its own", {
  program,
  args: ({ path }) => ["read-magic-links", path],
  refused: { "read-magic-links": "OK" },
  control: "outside",
  alsoExpect: ({ tries }) => expect(tries.of("read-magic-links").text).toBe("none"),
});

attackTest("lists places of the host", {
  program,
  args: ["list", "/home", "list", "/sys", "list", "/var/lib"],
  refused: { list: "ENOENT" },
  control: "outside",
});
