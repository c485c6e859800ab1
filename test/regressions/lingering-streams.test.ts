// Kind of fault: the end of a run is tied to the end of its streams instead of the end of its program, or the other way round.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljarRun } from "../helpers/belljar.ts";

needs("userns")("a background process that holds stdout does not keep the run from ending", async () => {
  const result = await belljarRun(["--wall-time", "10s", "--", "sh", "-c", "(sleep 30) & printf done; exit 3"]);
  expect(result).toMatchObject({ code: 3, stdout: "done" });
  expect(result.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 3 });
  expect(result.wallMs).toBeLessThan(3000);
});

needs("userns")("the same for a daemon that left session, group and streams and ignores signals", async () => {
  const daemon = "setsid sh -c 'trap \"\" HUP TERM; (exec >/dev/null 2>&1 </dev/null; sleep 30) & sleep 30' & printf done; exit 4";
  const result = await belljarRun(["--", "sh", "-c", daemon]);
  expect(result).toMatchObject({ code: 4, stdout: "done", leftovers: [] });
  expect(result.wallMs).toBeLessThan(3000);
});

needs("userns")("not a byte of a fast program is lost", async () => {
  for (let round = 0; round < 40; round++) {
    const result = await belljarRun(["--", "sh", "-c", 'head -c 1000000 /dev/zero | tr "\\0" x']);
    expect(result.stdoutBytes.length).toBe(1_000_000);
    expect(result.report.output.stdoutBytes).toBe(1_000_000);
  }
});

needs("userns")("stdin that nobody reads is no error, and no stdin is end of file at once", async () => {
  const unread = await belljarRun(["--", "true"], { stdin: Buffer.alloc(1_000_000) });
  expect(unread).toMatchObject({ code: 0, stderr: "" });
  const none = await belljarRun(["--", "wc", "-c"]);
  expect(none.stdout.trim()).toBe("0");
});

needs("userns")("a reader that goes away ends the writer by SIGPIPE, not the tool", async () => {
  const one = `${process.execPath} ${import.meta.dirname}/../../dist/belljar.js run -- yes`;
  const result = await belljarRun([], { program: ["bash", "-c", `${one} | head -1; exit "\${PIPESTATUS[0]}"`], report: false }).catch(
    (error: unknown) => error,
  );
  expect(String(result)).toContain("no report; exit 141");
});
