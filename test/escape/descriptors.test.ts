// Descriptors and the working directory of whoever started belljar must not be the program's.
import { closeSync, openSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutside, Tries } from "../helpers/attack.ts";
import { plantCanary } from "../helpers/canary.ts";

const program = "attack-files";

function withDescriptors<T>(paths: readonly [string, string][], body: (fds: readonly number[]) => T): T {
  const fds = paths.map(([path, flags]) => openSync(path, flags));
  const close = (): void => {
    for (const fd of fds) closeSync(fd);
  };
  const result = body(fds);
  if (result instanceof Promise) return result.finally(close) as T;
  close();
  return result;
}

needs("userns")("reads through a leaked descriptor of a file", async () => {
  const canary = plantCanary();
  await withDescriptors([[canary.path, "r"]], async (fds) => {
    const outside = attackOutside(program, ["read-descriptors", "/nonexistent"], { stdio: ["ignore", "pipe", "pipe", ...fds] });
    expect(outside.of("read-descriptors").text).toBe(canary.content);
    const inside = await attackInSandbox(program, ["read-descriptors", "/nonexistent"], { extraFds: fds });
    expect(inside.tries.of("read-descriptors").text).toBe("descriptors above 2:");
    canary.check(inside.stdout, inside.stderr, JSON.stringify(inside.report));
  });
});

needs("userns")("reads through a leaked descriptor of a directory", async () => {
  const canary = plantCanary();
  await withDescriptors(
    [
      ["/", "r"],
      [canary.dir, "r"],
    ],
    async (fds) => {
      const outside = attackOutside(program, ["read-descriptors", canary.path], { stdio: ["ignore", "pipe", "pipe", ...fds] });
      expect(outside.all.map((one) => one.text)).toContain(canary.content);
      const inside = await attackInSandbox(program, ["read-descriptors", canary.path], { extraFds: fds });
      expect(inside.tries.of("read-descriptors").text).toBe("descriptors above 2:");
      canary.check(inside.stdout, inside.stderr, JSON.stringify(inside.report));
    },
  );
});

needs("userns")("reads beside the caller's working directory", async () => {
  const canary = plantCanary();
  const name = canary.path.slice(canary.dir.length + 1);
  expect(attackOutside(program, ["read", `./${name}`], { cwd: canary.dir }).of("read").text).toBe(canary.content);
  const inside = await attackInSandbox(program, ["read", `./${name}`, "read", `/proc/self/cwd/${name}`, "read", `../${name}`, "cwd", "-"], {
    cwd: canary.dir,
  });
  expect(inside.tries.outcomes()).toEqual({ read: "ENOENT", cwd: "OK" });
  expect(inside.tries.of("cwd").text).toBe("/work");
  canary.check(inside.stdout, inside.stderr);
});

needs("userns")("finds no descriptor of belljar's own", async () => {
  const inside = await attackInSandbox(program, ["read-descriptors", "/nonexistent", "list", "/proc/self/fd"]);
  expect(inside.tries.of("read-descriptors").text).toBe("descriptors above 2:");
  // 3 is the directory that the listing itself holds open.
  expect(inside.tries.of("list").text?.trim().split(" ").sort()).toEqual(["0", "1", "2", "3"]);
  // Control: a descriptor that is there is seen.
  const fd = openSync("/", "r");
  const outside = attackOutside(program, ["list", "/proc/self/fd"], { stdio: ["ignore", "pipe", "pipe", fd] });
  closeSync(fd);
  expect(outside.of("list").text?.trim().split(" ")).toContain("4");
});

needs("userns")("a descriptor of a host file as stderr is not handed on", async () => {
  const canary = plantCanary();
  const fd = openSync(canary.path, "a");
  try {
    const inside = await attackInSandbox("attack-stdio", ["0", "write", "truncate"], { extraFds: [fd], run: ["-q"] });
    expect(inside.tries).toBeInstanceOf(Tries);
    expect(readFileSync(canary.path, "utf8")).toBe(canary.content);
  } finally {
    closeSync(fd);
  }
  canary.check();
});
