// What an image's configuration means for a run, and what comes before it. All of it is a stranger's text.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import type { ImageConfig } from "../../../cli/image/oci-types.ts";
import { needs } from "../../helpers/abilities.ts";
import { belljar } from "../../helpers/belljar.ts";
import { launcherPath } from "../../helpers/launcher.ts";
import { baseLayer, type ImageHome, type ImageRunResult, imageHome, runnableImage } from "../../helpers/run-image.ts";
import { archive, directory, file, symlink } from "../../helpers/tar-writer.ts";

type Config = ImageConfig["config"];
const base = baseLayer();
const withConfig = (config: Config, ...more: readonly Buffer[]) =>
  runnableImage(more.length === 0 ? [base] : [base, archive(...more)], config);

describe("the command", () => {
  needs("userns")(
    "is entry point and arguments, else the image's command",
    async () => {
      const home = imageHome();
      await home.addAll({
        "t/both:1": withConfig({ Entrypoint: ["/bin/printf", "[%s]"], Cmd: ["a", "b c"] }),
        "t/cmd:1": withConfig({ Cmd: ["/bin/printf", "<%s>", "only"] }),
        "t/none:1": withConfig({}),
        "t/nulls:1": withConfig({ Entrypoint: null, Cmd: null }),
      });
      const out = async (image: string, options: readonly string[], command: readonly string[]): Promise<string> => {
        const { stdout, stderr, report } = await home.run(image, options, command);
        expect(report.verdict, stderr).toBe("ok");
        return stdout;
      };
      expect(await out("t/both:1", [], [])).toBe("[a][b c]");
      expect(await out("t/both:1", [], ["x"])).toBe("[x]");
      expect(await out("t/both:1", ["--entrypoint", ""], ["/bin/printf", "%s", "bare"])).toBe("bare");
      expect(await out("t/both:1", ["--entrypoint", '["/bin/printf","(%s)"]'], [])).toBe("()");
      expect(await out("t/both:1", ["--entrypoint", "/bin/printf"], ["%s.", "1"])).toBe("1.");
      expect(await out("t/cmd:1", [], [])).toBe("<only>");
      expect(await out("t/cmd:1", [], ["printf", "by PATH"])).toBe("by PATH");
      for (const image of ["t/none:1", "t/nulls:1"]) {
        const { stderr, stdout } = await home.command(["run", "-i", image], { code: 125, report: false });
        expect(stderr).toBe(
          "belljar: reading options: no command to run, and the image names none\nhint: belljar run -i IMAGE -- COMMAND [ARG...]\n",
        );
        expect(stdout).toBe("");
      }
      // A script of the host's is not for the image's entry point.
      writeFileSync(join(home.folder, "s.sh"), 'echo "script $1"\n');
      expect((await home.command(["run", "-i", "t/both:1", "./s.sh", "one"], { cwd: home.folder })).stdout).toBe("script one\n");
      const missing = await home.run("t/none:1", [], ["/no/such"]);
      expect(missing).toMatchObject({ code: 127, report: { verdict: "start-failed" } });
    },
    120_000,
  );
});

needs("userns")(
  "a compiled plan runs the image's command, or another behind its entry point, where the image wants it",
  async () => {
    const home = imageHome();
    await home.addAll({
      "t/both:1": withConfig({ Entrypoint: ["/bin/printf", "[%s]"], Cmd: ["a", "b c"], Env: ["A=1"] }),
      "t/place:1": withConfig({ WorkingDir: "/tmp", Cmd: ["pwd"] }),
    });
    const launched = async (image: string, options: readonly string[], words: readonly string[]): Promise<string> => {
      const plan = join(home.folder, "plan");
      await home.command(["profile", "compile", "default", "-i", image, "-o", plan]);
      const behind = words.length === 0 ? [] : ["--", ...words];
      const { code, stdout, stderr } = await belljar([plan, ...options, ...behind], { program: [launcherPath] });
      expect(code, stderr).toBe(0);
      return stdout;
    };
    expect(await launched("t/both:1", [], [])).toBe("[a][b c]");
    expect(await launched("t/both:1", [], ["x"])).toBe("[x]");
    expect(await launched("t/place:1", [], [])).toBe("/tmp\n");
    expect(await launched("t/place:1", [], ["sh", "-c", "echo $PWD"])).toBe("/tmp\n");
    writeFileSync(join(home.folder, "f"), "");
    expect(await launched("t/place:1", ["--in", join(home.folder, "f")], ["pwd"])).toBe("/work\n");
    const report = JSON.parse(await launched("t/place:1", ["--json"], []));
    const { report: same } = await home.run("t/place:1", [], []);
    expect(report.report.sandbox).toEqual(same.sandbox);
  },
  120_000,
);

describe("a command that is not there", () => {
  needs("userns")("is named, whoever named it", async () => {
    const home = imageHome();
    await home.addAll({
      "t/cmd:1": withConfig({ Cmd: ["no-such-program"] }),
      "t/both:1": withConfig({ Entrypoint: ["no-such-program"], Cmd: ["a"] }),
    });
    for (const [image, command] of [
      ["t/cmd:1", []],
      ["t/both:1", []],
      ["t/both:1", ["typed"]],
    ] as const) {
      const { report, stderr } = await home.run(image, [], command);
      expect(report, stderr).toMatchObject({ verdict: "start-failed", error: { hint: null } });
      expect(report.message).toContain("'no-such-program'");
    }
  });
});

describe("the environment", () => {
  needs("userns")("is the image's over built-in profiles, the user's profile over the image, options over all", async () => {
    const home = imageHome();
    await home.add(
      "img",
      withConfig({
        Env: [
          "PATH=/app:/bin",
          "LANG=de_DE.UTF-8",
          "A=image",
          "B=image",
          "C=image",
          "HOME=/srv",
          "EMPTY=",
          "D=1=2",
          "NONAME",
          "=x",
          "A=later",
        ],
      }),
    );
    const profile = join(home.folder, "own.json");
    writeFileSync(
      profile,
      JSON.stringify({ schemaVersion: 1, name: "own", extends: "default", process: { env: { B: "own", C: "own" }, inheritEnv: ["SEEN"] } }),
    );
    const { stdout } = await home.run("img", ["-p", profile, "-e", "C=option"], ["env"], { env: { SEEN: "yes", SECRET: "no" } });
    expect(stdout.trim().split("\n").sort()).toEqual([
      "A=later",
      "B=own",
      "C=option",
      "D=1=2",
      "EMPTY=",
      "HOME=/srv",
      "LANG=de_DE.UTF-8",
      "PATH=/app:/bin",
      "SEEN=yes",
    ]);
  });
});

describe("the working directory", () => {
  needs("userns", "overlay")(
    "is the image's, made where it is missing, unless files are put into /work",
    async () => {
      const home = imageHome();
      const more = [
        directory("srv"),
        directory("srv/here"),
        file("srv/file", "x"),
        symlink("srv/out", "/../../../tmp"),
        symlink("srv/up", "../.."),
      ];
      const dirs = {
        here: "/srv/here",
        missing: "/srv/new/deep/",
        root: "/",
        empty: "",
        file: "/srv/file",
        out: "/srv/out",
        up: "/srv/up/etc",
        below: "/srv/file/x",
        dots: "/srv/../etc",
        relative: "srv",
      };
      await home.addAll(
        Object.fromEntries(Object.entries(dirs).map(([name, WorkingDir]) => [`t/${name}:1`, withConfig({ WorkingDir }, ...more)])),
      );
      const at = (name: keyof typeof dirs, options: readonly string[] = []) => home.run(`t/${name}:1`, options, ["/bin/pwd", "-P"]);
      expect((await at("here")).stdout).toBe("/srv/here\n");
      expect((await at("missing")).stdout).toBe("/srv/new/deep\n");
      expect((await at("root")).stdout).toBe("/work\n");
      expect((await at("empty")).stdout).toBe("/work\n");
      expect((await at("out")).stdout).toBe("/tmp\n");
      expect((await at("up")).stdout).toBe("/etc\n");
      expect((await at("here", ["-w", "/etc"])).stdout).toBe("/etc\n");
      expect((await at("here", ["-w", "sub"])).stdout).toBe("/work/sub\n");
      expect((await at("here", ["--in", "/etc/hostname"])).stdout).toBe("/work\n");
      expect((await at("here", ["--set", "process.workdir=/bin"])).stdout).toBe("/bin\n");
      for (const name of ["file", "below"] as const)
        expect((await at(name)).report).toMatchObject({
          verdict: "start-failed",
          message: `could not start in '${dirs[name]}': cannot make it the working directory: ENOTDIR (not a directory)`,
        });
      const error = async (name: string): Promise<string> =>
        (await home.command(["run", "-i", `t/${name}:1`, "--", "true"], { code: 125, report: false })).stderr;
      expect(await error("dots")).toBe(
        "belljar: compiling the plan: working directory '/srv/../etc': must be an absolute path without '..'\n",
      );
      expect(await error("relative")).toMatch(
        /^belljar: reading image 'docker\.io\/t\/relative:1@.*': its working directory 'srv' is not absolute\n$/,
      );
    },
    180_000,
  );
});

describe("the user", () => {
  const who = (home: ImageHome, image: string, options: readonly string[] = []): Promise<ImageRunResult> =>
    home.run(image, options, ["/bin/sh", "-c", "echo $(id -u):$(id -g):$(id -G)"]);

  needs("userns", "subids")(
    "is the image's, with its groups where ids are subordinate",
    async () => {
      const home = imageHome();
      const users = ["web", "web:adm", "33:4", "33", "4242", "web:7", "root", "12:log"];
      await home.addAll(Object.fromEntries(users.map((User, i) => [`t/user:${i}`, withConfig({ User })])));
      const seen: Record<string, string> = {};
      for (const [i, user] of users.entries()) seen[user] = (await who(home, `t/user:${i}`, ["-p", "image"])).stdout.trim();
      expect(seen).toEqual({
        web: "33:33:33 4 44",
        "web:adm": "33:4:4",
        "33:4": "33:4:4",
        "33": "33:33:33 4 44",
        "4242": "4242:0:0",
        "web:7": "33:7:7",
        root: "0:0:0",
        "12:log": "12:44:44",
      });
      // Only one id: the groups cannot be had, the names still mean something.
      expect((await who(home, "t/user:0")).stdout).toBe("33:33:33\n");
      expect((await who(home, "t/user:1")).stdout).toBe("33:4:4\n");
      // Options and the user's own profile come first.
      expect((await who(home, "t/user:0", ["-p", "image", "-u", "daemon"])).stdout).toBe("1:1:1 4\n");
      expect((await who(home, "t/user:0", ["-p", "image", "--set", "user.uid=5", "--set", "user.gid=6"])).stdout).toBe("5:6:6\n");
    },
    180_000,
  );

  needs("userns", "subids")(
    "that cannot be: an error that says why",
    async () => {
      const home = imageHome();
      const users = ["nosuch", "web:nosuch", "70000", "4294967295", "a:b:c", ":5", "web:", "99999999999"];
      await home.addAll(Object.fromEntries(users.map((User, i) => [`t/user:${i}`, withConfig({ User })])));
      const said: Record<string, string> = {};
      for (const [i, user] of users.entries()) {
        const { stderr, stdout } = await home.command(["run", "-i", `t/user:${i}`, "-p", "image", "--", "true"], {
          code: 125,
          report: false,
        });
        expect(stdout).toBe("");
        said[user] = stderr.replace(/'docker.io[^']*'/, "IMAGE").replace(/^belljar: reading image IMAGE: its user /, "");
      }
      expect(said).toEqual({
        nosuch: "'nosuch': no such user in the image\nhint: known there: root, daemon, web; any UID:GID works\n",
        "web:nosuch": "'web:nosuch': no such group in the image: 'nosuch'\nhint: known there: root, daemon, web, adm, log\n",
        "70000": expect.stringMatching(/^belljar: mapping ids: user id 70000: the sandbox has only the ids 0 to 65536\n/),
        "4294967295": "'4294967295': ids go up to 4294967294\n",
        "a:b:c": "'a:b:c': is not UID, NAME, or either with :GID or :GROUP\n",
        ":5": "':5': is not UID, NAME, or either with :GID or :GROUP\n",
        "web:": "'web:': is not UID, NAME, or either with :GID or :GROUP\n",
        "99999999999": "'99999999999': no such user in the image\nhint: known there: root, daemon, web; any UID:GID works\n",
      });
      const own = await home.command(["run", "-i", "t/user:0", "-u", "ghost", "--", "true"], { code: 125, report: false });
      expect(own.stderr).toMatch(/^belljar: reading options: '--user' 'ghost': no such user in the image\n/);
    },
    180_000,
  );

  needs("userns")(
    "by files that are not what they seem: numbers work, and names where they are to be found",
    async () => {
      const home = imageHome();
      const line = "web:x:33:33::/srv:/bin/sh\n";
      const upper: Readonly<Record<string, readonly Buffer[]>> = {
        huge: [file("etc/passwd", Buffer.alloc(3_000_000, line))],
        binary: [
          file("etc/passwd", Buffer.concat([Buffer.from([0, 255, 10, 58, 58, 58, 10]), Buffer.from(`\x1b]0;x\x07:x:9:9:::\n${line}`)])),
        ],
        link: [symlink("etc/passwd", "/etc/group"), symlink("etc/group", "/proc/self/environ")],
        gone: [file("etc/.wh.passwd"), file("etc/.wh.group")],
        opaque: [file("etc/.wh..wh..opq"), file("etc/group", "web:x:9:\n")],
        folder: [file("etc/.wh.passwd"), directory("etc/passwd")],
        noetc: [file(".wh.etc")],
        file: [file(".wh.etc"), directory("etc"), file("etc/passwd", line, { mode: 0 })],
        crlf: [file("etc/passwd", "web:x:33:33::/srv:/bin/sh\r\nx\r\nweb:x:44\n")],
      };
      await home.addAll(
        Object.fromEntries(
          Object.entries(upper).flatMap(([name, entries]) => [
            [`t/name-${name}:1`, withConfig({ User: "web" }, ...entries)],
            [`t/number-${name}:1`, withConfig({ User: "12:13" }, ...entries)],
          ]),
        ),
      );
      const found: Record<string, string> = {};
      for (const name of Object.keys(upper)) {
        const { stdout, stderr } = await home
          .command(["run", "-i", `t/name-${name}:1`, "--", "/bin/id", "-u"], { report: false })
          .catch((error: Error) => ({ stdout: "", stderr: error.message }));
        found[name] = stdout.trim() || (/no such user in the image\nhint: (.*)/.exec(stderr)?.[1] ?? stderr);
        const number = await home.run(`t/number-${name}:1`, [], ["/bin/sh", "-c", "echo $(id -u):$(id -g)"]);
        expect({ name, stdout: number.stdout }, number.stderr).toEqual({ name, stdout: "12:13\n" });
      }
      const none = "the image has no /etc/passwd that can be read: give UID:GID";
      expect(found).toEqual({
        huge: none,
        binary: "33",
        link: none,
        gone: none,
        opaque: none,
        folder: none,
        noetc: none,
        file: "33",
        crlf: "33",
      });
    },
    240_000,
  );
});

describe("hostile texts", () => {
  const evil = "\x1b]0;owned\x07\x1b[31mred\r\n\x9bx\u202e";
  /** What a terminal would act on, but for the line feeds that end our own lines. */
  const isRaw = (character: string): boolean => {
    const code = character.codePointAt(0) ?? 0;
    const control = code < 0x20 || (code >= 0x7f && code <= 0x9f);
    return (control && character !== "\n") || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  };
  const rawIn = (text: string): readonly string[] => [...text].filter(isRaw);
  needs("userns")(
    "of a configuration never reach the terminal as they are",
    async () => {
      const home = imageHome();
      const configs: Readonly<Record<string, Config>> = {
        entry: { Entrypoint: [`/${evil}`] },
        user: { User: evil },
        group: { User: `root:${evil}` },
        workdir: { WorkingDir: evil },
        workdirMissing: { WorkingDir: `/etc/passwd/${evil}` },
        signal: { StopSignal: evil },
        long: { Entrypoint: ["/bin/true"], Env: [`${evil}=${"x".repeat(200_000)}`] },
        manyArguments: { Entrypoint: ["/bin/true", ...Array.from({ length: 300_000 }, () => "x")] },
        dots: { WorkingDir: `/${evil}/../x` },
      };
      await home.addAll(
        Object.fromEntries(
          Object.entries(configs).map(([name, config]) => [
            `t/evil-${name.toLowerCase()}:1`,
            withConfig({ Entrypoint: ["/bin/true"], ...config }),
          ]),
        ),
      );
      for (const name of Object.keys(configs)) {
        const args = ["run", "-i", `t/evil-${name.toLowerCase()}:1`];
        const { stderr, code } = await home.command(args, {
          code: name === "entry" ? 127 : name === "workdirMissing" ? 126 : 125,
          report: false,
        });
        expect({ name, code, raw: rawIn(stderr) }, JSON.stringify(stderr)).toMatchObject({ name, raw: [] });
        expect(
          stderr.split("\n").filter((line) => line !== "" && !/^(belljar|hint): /.test(line)),
          name,
        ).toEqual([]);
        expect(stderr.length, name).toBeLessThan(2000);
      }
      for (const args of [
        ["image", "ls"],
        ["image", "inspect", "t/evil-entry:1"],
      ]) {
        const { stdout } = await home.command(args);
        expect(rawIn(stdout), stdout).toEqual([]);
      }
    },
    240_000,
  );
});

describe("--rootfs DIR", () => {
  needs("userns", "overlay")("may be writable: the folder stays as it is", async () => {
    const home = imageHome();
    const rootfs = join(home.folder, "rootfs");
    mkdirSync(rootfs);
    await home.add("img", withConfig({}));
    const { stdout: tar } = await home.command(["run", "-i", "img", "--", "sh", "-c", "echo ok"]);
    expect(tar).toBe("ok\n");
    const { execFileSync } = await import("node:child_process");
    execFileSync("tar", ["-xf", "-", "-C", rootfs], { input: base });
    const before = execFileSync("find", [rootfs, "-printf", "%p %m %T@ %s\\n"], { encoding: "utf8" });
    for (const driver of ["kernel", "copy"]) {
      const args = ["run", "--rootfs", rootfs, "--set", "rootfs.writable=true", "--overlay-driver", driver];
      const { stdout } = await home.command(
        [...args, "--", "/bin/sh", "-c", "rm -rf /root /etc/group; echo x > /new; cat /new; ls -d /root"],
        { code: 1 },
      );
      expect(stdout).toBe("x\n");
    }
    expect(execFileSync("find", [rootfs, "-printf", "%p %m %T@ %s\\n"], { encoding: "utf8" })).toBe(before);
  });
});
