import type { Argv } from "yargs";
import type { Finish } from "./cli.ts";
import type { ImageOptions } from "./image-store.ts";

type Arguments = Readonly<Record<string, unknown>>;

const textOf = (argv: Arguments, name: string): string | undefined => (typeof argv[name] === "string" ? argv[name] : undefined);
const textsOf = (argv: Arguments, name: string): readonly string[] => (Array.isArray(argv[name]) ? argv[name].map(String) : []);
const common = (argv: Arguments): ImageOptions => ({ json: argv["json"] === true, runAs: textOf(argv, "runAs") });

/** What all of them take. */
const store = (y: Argv): Argv =>
  y
    .option("json", { type: "boolean", describe: "print JSON" })
    .option("run-as", { type: "string", nargs: 1, describe: "USER: started by root: the ordinary account to become" });
const platform = (y: Argv): Argv =>
  y.option("platform", { type: "string", nargs: 1, describe: "OS/ARCH[/VARIANT]: which of several [this machine's]" });
const input = (y: Argv): Argv =>
  y.option("input", { alias: "i", type: "string", nargs: 1, default: "-", describe: "FILE|-: the archive [standard input]" });
const image = (y: Argv): Argv => y.positional("image", { type: "string", demandOption: true, describe: "name or id" });
const images = (y: Argv): Argv => y.positional("images", { type: "string", array: true, demandOption: true, describe: "names or ids" });

const pullUsage = "get an image from a registry";

/** `belljar image pull`, and `belljar pull`. */
export function pullCommands(parser: Argv, finish: Finish): Argv {
  return parser.command(
    "pull <image>",
    pullUsage,
    (y) =>
      platform(store(y))
        .positional("image", { type: "string", demandOption: true, describe: "reference: alpine, debian:12, ghcr.io/owner/name@sha256:…" })
        .option("quiet", { alias: "q", type: "boolean", describe: "no progress and no warnings" }),
    async (argv) => {
      const { pullCommand } = await import("./image-pull.ts");
      const quiet = argv["quiet"] === true;
      finish(await pullCommand({ ...common(argv), image: textOf(argv, "image") ?? "", platform: textOf(argv, "platform"), quiet }));
    },
  );
}

function transferCommands(parser: Argv, finish: Finish): Argv {
  return pullCommands(parser, finish)
    .command(
      "load",
      "load images from an archive (OCI or Docker's; plain, gzip, zstd) or an OCI layout folder",
      (y) => input(platform(store(y))).option("name", { type: "string", nargs: 1, describe: "REF: instead of the name in the archive" }),
      async (argv) => {
        const { loadCommand } = await import("./image-load.ts");
        const input = textOf(argv, "input") ?? "-";
        finish(await loadCommand({ ...common(argv), input, name: textOf(argv, "name"), platform: textOf(argv, "platform") }));
      },
    )
    .command(
      "import [name]",
      "make an image of one layer from a tar archive of a root file system",
      (y) => input(platform(store(y))).positional("name", { type: "string", describe: "what to call it" }),
      async (argv) => {
        const { importCommand } = await import("./image-load.ts");
        const name = textOf(argv, "name") ?? null;
        finish(await importCommand({ ...common(argv), input: textOf(argv, "input") ?? "-", name, platform: textOf(argv, "platform") }));
      },
    )
    .command(
      "save <images..>",
      "write images as one archive",
      (y) =>
        images(store(y))
          .option("output", { alias: "o", type: "string", nargs: 1, default: "-", describe: "FILE|-: where to [standard output]" })
          .option("format", { type: "string", nargs: 1, default: "oci-archive", describe: "oci-archive or docker-archive" }),
      async (argv) => {
        const { saveCommand } = await import("./image-load.ts");
        const [output, format] = [textOf(argv, "output") ?? "-", textOf(argv, "format") ?? ""];
        finish(await saveCommand({ ...common(argv), images: textsOf(argv, "images"), output, format }));
      },
    );
}

function lookCommands(parser: Argv, finish: Finish): Argv {
  return parser
    .command("ls", "list images", store, async (argv) => {
      const { listCommand } = await import("./image-list.ts");
      finish(await listCommand(common(argv)));
    })
    .command(
      "inspect <image>",
      "print what an image is, as JSON",
      (y) => image(store(y)),
      async (argv) => {
        const { inspectCommand } = await import("./image-list.ts");
        finish(await inspectCommand({ ...common(argv), image: textOf(argv, "image") ?? "" }));
      },
    )
    .command("verify", "check all content against its digests; status 1 when something is wrong", store, async (argv) => {
      const { verifyCommand } = await import("./image-change.ts");
      finish(await verifyCommand(common(argv)));
    });
}

function changeCommands(parser: Argv, finish: Finish): Argv {
  return parser
    .command(
      "tag <image> <name>",
      "give an image another name",
      (y) => image(store(y)).positional("name", { type: "string", demandOption: true, describe: "the new name" }),
      async (argv) => {
        const { tagCommand } = await import("./image-change.ts");
        finish(await tagCommand({ ...common(argv), image: textOf(argv, "image") ?? "", name: textOf(argv, "name") ?? "" }));
      },
    )
    .command(
      "rm <images..>",
      "remove names, and the images that have none left",
      (y) => images(store(y)).option("force", { alias: "f", type: "boolean", describe: "an id: all of its names" }),
      async (argv) => {
        const { removeCommand } = await import("./image-change.ts");
        finish(await removeCommand({ ...common(argv), images: textsOf(argv, "images"), force: argv["force"] === true }));
      },
    )
    .command(
      "prune",
      "remove what no image needs, and what broken attempts have left",
      (y) => store(y).option("all", { alias: "a", type: "boolean", describe: "images without a name too" }),
      async (argv) => {
        const { pruneCommand } = await import("./image-change.ts");
        finish(await pruneCommand({ ...common(argv), all: argv["all"] === true }));
      },
    );
}

/** `belljar image …`, for yargs. */
export function imageCommands(parser: Argv, finish: Finish): Argv {
  const usage =
    "belljar image COMMAND [OPTIONS]\n\nImages in the store of this user: $XDG_DATA_HOME/belljar, by default ~/.local/share/belljar.";
  return changeCommands(lookCommands(transferCommands(parser.usage(usage), finish), finish), finish)
    .example("belljar image pull debian:12", "get an image")
    .example("belljar image load -i alpine.tar", "load an archive")
    .example("belljar image import -i rootfs.tar mine:1", "a root file system that is no image yet")
    .example("belljar image save alpine -o alpine.tar", "save an image")
    .demandCommand(1, "no command given");
}

/** For guesses at misspelled words. */
export const imageWords: readonly string[] = [
  "pull",
  "quiet",
  "load",
  "import",
  "save",
  "ls",
  "inspect",
  "verify",
  "tag",
  "rm",
  "prune",
  "json",
  "platform",
  "name",
  "format",
  "force",
];
