// Kind of fault: a memory limit made of address space kills runtimes that reserve far more than they use.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljarRun } from "../helpers/belljar.ts";

const limit = ["--memory", "256M"];

needs("userns", "node")("Node: WebAssembly memory, fetch and threads under 256 MiB", async () => {
  const result = await belljarRun([
    ...limit,
    "--",
    "node",
    "-e",
    "new WebAssembly.Memory({initial:10,maximum:100}); typeof fetch; console.log('ok')",
  ]);
  expect(result).toMatchObject({ code: 0, stdout: "ok\n" });
  expect(result.report.enforcement.addressSpace).toBeUndefined();
});

needs("userns", "java")("Java starts under 256 MiB", async () => {
  const result = await belljarRun([...limit, "--", "java", "-version"]);
  expect(result.code).toBe(0);
  expect(result.stderr).toMatch(/version/);
});

needs("userns", "python3")("Python threads under 256 MiB", async () => {
  const result = await belljarRun([
    ...limit,
    "--",
    "python3",
    "-c",
    "import threading as t\nx=[t.Thread(target=print,args=(i,)) for i in range(8)]\n[y.start() for y in x];[y.join() for y in x]",
  ]);
  expect(result.code).toBe(0);
  expect(result.stdout.trim().split("\n")).toHaveLength(8);
});

needs("userns", "gcc")("the address sanitizer, which reserves terabytes", async () => {
  const script = "printf 'int main(){return 0;}' > m.c && gcc -fsanitize=address m.c -o m && ASAN_OPTIONS=detect_leaks=0 ./m && echo ok";
  const result = await belljarRun(["-p", "compile", "--", "sh", "-c", script]);
  expect(result.stdout).toBe("ok\n");
});

needs("userns")("the mechanism that holds the memory limit is named", async () => {
  const result = await belljarRun([...limit, "--", "true"]);
  expect(result.report.enforcement.memory).toMatch(/^(cgroup2|cgroup1|supervisor)$/);
  expect(result.report.limits.memory).toBe(256 * 1024 * 1024);
});
