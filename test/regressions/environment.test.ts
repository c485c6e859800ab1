// Kind of fault: what the caller's process has (environment, umask, limits, signal dispositions, descriptors) shows through.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, profileFile, type Tries } from "../helpers/attack.ts";
import { belljar, belljarRun } from "../helpers/belljar.ts";

const secrets = {
  SECRET_X: "secret-value-1",
  NODE_OPTIONS: "--no-warnings",
  LD_PRELOAD: "/x/secret-value-2.so",
  BASH_ENV: "/secret-value-3",
  DBUS_SESSION_BUS_ADDRESS: "unix:path=/secret-value-4",
  SSH_AUTH_SOCK: "/secret-value-5",
  DISPLAY: ":77",
};

const environmentOf = (tries: Tries): Record<string, string> =>
  Object.fromEntries(
    tries.all
      .filter((one) => one.try === "env")
      .map(({ text = "" }) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]),
  );

needs("userns")("nothing of the caller's environment is in the program's, nor anywhere in /proc", async () => {
  const inside = await attackInSandbox("behave", ["environment"], { env: secrets });
  const env = environmentOf(inside.tries);
  expect(Object.keys(env).sort()).toEqual(["HOME", "LANG", "PATH"]);
  expect(inside.stdout).not.toContain("secret-value");
  const proc = await belljarRun(
    ["--", "sh", "-c", "cat /proc/*/environ /proc/*/cmdline /proc/*/task/*/environ 2>/dev/null | tr '\\0' '\\n'"],
    { env: secrets },
  );
  expect(proc.stdout).toContain("LANG=");
  expect(proc.stdout).not.toContain("secret-value");
});

needs("userns")("the defaults: HOME, PATH, LANG, the folder, the umask", async () => {
  const inside = await attackInSandbox("behave", ["environment"]);
  expect(environmentOf(inside.tries)).toEqual({
    HOME: "/work",
    LANG: "C.UTF-8",
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  });
  const state = await attackInSandbox("behave", ["state"]);
  expect(state.tries.of("cwd").text).toBe("/work");
  expect(state.tries.of("Umask").text).toBe("0022");
});

needs("userns")("values keep what is in them: empty, with =, long, no UTF-8", async () => {
  const inside = await attackInSandbox("behave", ["environment"], {
    run: ["-e", "EMPTY=", "-e", "A=B=C", "-e", "LINES=1\n2", "-e", `LONG=${"x".repeat(1000)}`],
  });
  expect(environmentOf(inside.tries)).toMatchObject({ EMPTY: "", A: "B=C", LINES: "1\n2", LONG: "x".repeat(1000) });
});

needs("userns")("an environment of 3 MB: said, not a crash", async () => {
  // Too much for any command line of the caller's own: four profiles together.
  const parts = Array.from({ length: 4 }, (_, part) =>
    profileFile({ process: { env: Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`BIG_${part}_${i}`, "x".repeat(100_000)])) } }),
  );
  const result = await belljar(["run", "-p", profileFile({ extends: parts }), "--", "true"], { report: false });
  expect(result.code).toBe(125);
  expect(result.stderr).toMatch(/^belljar: .*(environment|arguments)/);
});

needs("userns")("umask, niceness of signals, limits and blocked signals are not handed on", async () => {
  const command = [process.execPath, `${import.meta.dirname}/../../dist/belljar.js`];
  const launch = 'umask 077; trap "" PIPE HUP INT QUIT USR1; ulimit -c unlimited 2>/dev/null; ulimit -n 200; exec "$@"';
  const inside = await attackInSandbox("behave", ["state"], { program: ["sh", "-c", launch, "sh", ...command] });
  expect(inside.tries.of("Umask").text).toBe("0022");
  expect(inside.tries.of("SigIgn").text).toBe("0000000000000000");
  expect(inside.tries.of("SigBlk").text).toBe("0000000000000000");
  // 1: no core file is that small, and core(5) has it as the one limit that a core_pattern program heeds as well.
  expect(inside.tries.of("core").text).toMatch(/^(0 0|1 1)$/);
  expect(inside.tries.of("descriptors").text?.trim()).toBe("0 1 2");
});

needs("userns")("the limits of the profile are the program's: soft and hard", async () => {
  const inside = await attackInSandbox("behave", ["state"], {
    run: ["--open-files", "77", "--file-size", "1M", "--stack", "16M", "--locked-memory", "0"],
  });
  expect(inside.tries.of("nofile").text).toBe("77 77");
  expect(inside.tries.of("fsize").text).toBe("1048576 1048576");
  expect(inside.tries.of("stack").text).toBe("16777216 16777216");
  expect(inside.tries.of("memlock").text).toBe("0 0");
  expect(inside.tries.of("as").text).toBe("-1 -1");
});

needs("userns")("folders of the caller's that cannot be made: what can do without goes on, and nothing hangs", async () => {
  for (const name of ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"]) {
    const result = await belljarRun(["--", "echo", "ran"], { env: { [name]: "/proc/nowhere/below" } });
    expect([result.code, result.stdout, result.stderr], name).toEqual([0, "ran\n", ""]);
  }
  const store = await belljar(["image", "ls"], { env: { XDG_DATA_HOME: "/proc/nowhere/below" } });
  expect([store.code, store.stderr]).toEqual([
    125,
    expect.stringMatching(/^belljar: opening the image store: '\/proc\/nowhere\/below\/belljar': no such file or directory\n/),
  ]);
});
