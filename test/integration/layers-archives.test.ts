import { execFileSync, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { applyStack, layerFolder, listTree, paths, visible } from "../helpers/layer-tree.ts";
import { tempDir } from "../helpers/places.ts";
import { archive, base256, directory, ending, file, header, pax, symlink } from "../helpers/tar-writer.ts";

const tar = (args: readonly string[], cwd: string): Buffer => execFileSync("tar", args, { cwd, maxBuffer: 1 << 28 });

describe("archives of GNU tar", () => {
  for (const format of ["gnu", "posix", "ustar", "oldgnu", "v7"]) {
    needs("userns", "python3")(`a tree of all kinds, format ${format}: what tar itself unpacks`, async () => {
      const source = layerFolder();
      execFileSync("sh", ["-ec", script], {
        cwd: source,
        env: { ...process.env, FORMAT: format, NAME: "n".repeat(format === "v7" ? 60 : 90) },
      });
      const bytes = tar([`--format=${format}`, "-cf", "-", "."], source);
      const theirs = layerFolder();
      execFileSync("tar", ["-xpf", "-", "-C", theirs], { input: bytes });
      const stack = await applyStack([bytes]);
      const ours = visible(await stack.tree());
      const reference = visible(await listTree(theirs));
      expect(Object.keys(ours).length).toBeGreaterThan(15);
      expect(ours).toEqual(reference);
    });
  }

  for (const version of ["0.0", "0.1", "1.0", "gnu"]) {
    needs("userns", "python3")(`sparse files, format ${version}: content, holes and the entry behind them`, async () => {
      const source = tempDir("sparse");
      const sparse = (name: string, size: number, pieces: readonly (readonly [number, Buffer])[]): void => {
        const fd = openSync(join(source, name), "w");
        for (const [at, bytes] of pieces) writeSync(fd, bytes, 0, bytes.length, at);
        ftruncateSync(fd, size);
      };
      sparse("tail", 1_048_576, [[1_048_572, Buffer.from("tail")]]);
      sparse("hole", 50_000_000, []);
      sparse(
        "many",
        40_000_000,
        Array.from({ length: 60 }, (_, i) => [i * 600_000, randomBytes(5000)] as const),
      );
      sparse("large", 9_000_000_000, [[8_900_000_000, Buffer.from("x")]]);
      writeFileSync(join(source, "zz-next"), "next");
      const args = version === "gnu" ? ["--format=gnu"] : ["--format=posix", `--sparse-version=${version}`];
      const bytes = tar([...args, "--sparse", "-cf", "-", "tail", "hole", "many", "large", "zz-next"], source);
      expect(bytes.length).toBeLessThan(2_000_000);
      const stack = await applyStack([bytes]);
      const dir = stack.dirs[0] as string;
      const sha = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
      for (const name of ["tail", "hole", "many", "zz-next"]) expect(sha(join(dir, name)), name).toBe(sha(join(source, name)));
      const list = execFileSync("stat", ["-c", "%n %s %b", "tail", "hole", "many", "large"], { cwd: dir, encoding: "utf8" });
      const sizes = Object.fromEntries(
        list
          .trim()
          .split("\n")
          .map((line) => [line.split(" ")[0], line.split(" ").slice(1).map(Number)]),
      );
      expect(sizes["large"]?.[0]).toBe(9_000_000_000);
      for (const name of ["tail", "hole", "many", "large"]) expect(sizes[name]?.[1], `${name}: blocks in use`).toBeLessThan(2000);
    });
  }

  needs("userns", "python3")("names of any length and of any bytes land as they are", async () => {
    const odd = ["new\nline", "tab\t", "back\\slash", " lead", "trail ", "quote'\"", "ä€", "-rf", "*", "a".repeat(255)];
    const raw = Buffer.from([0xff, 0xfe, 0x80]);
    const deep = Array.from({ length: 40 }, () => "d".repeat(90)).join("/");
    const stack = await applyStack([archive(...odd.map((name) => file(name)), file(raw, "raw"), file(`${deep}/leaf`, "deep"))]);
    const found = paths(await stack.tree());
    for (const name of odd) expect(found).toContain(Buffer.from(name).toString("latin1"));
    expect(found).toContain(raw.toString("latin1"));
    expect(found).toContain(`${deep}/leaf`);
  });

  needs("userns", "python3")("a name longer than any file system's is refused by name", async () => {
    await expect(applyStack([archive(file("n".repeat(256)))])).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("a name of more than 255 bytes"),
    });
  });
});

const script = `
mkdir -p dir/sub sticky ro; chmod 1777 sticky
echo content > dir/file; echo x > "dir/$NAME"; ln dir/file dir/hard; ln -s ../dir/file dir/sub/soft; ln -s /abs/olute dir/abs
[ "$FORMAT" = v7 ] || mkfifo dir/fifo; chmod 4755 dir/file; head -c 300000 /dev/urandom > big; : > empty; echo r > ro/r; chmod 555 ro
touch -d @1000000001 dir/file; touch -h -d @5 dir/abs; touch -d @77 ro sticky dir/sub; touch -d @88 .
mkdir -p a/b/c/d/e; echo "spaces" > "with space"; chmod 600 big
`;

describe("compressed layers, applied", () => {
  const layer = archive(directory("d"), file("d/f", "x".repeat(100_000)), file("g", "y"));
  const expected = ["d", "d/f", "g"];

  needs("userns", "python3", "zstd")(
    "by zstd itself: frames, long windows, all levels",
    async () => {
      const zstd = (args: readonly string[], input: Buffer = layer): Buffer => {
        const { status, stdout, stderr } = spawnSync("zstd", ["-q", "-c", ...args], { input, maxBuffer: 1 << 28 });
        if (status !== 0) throw new Error(stderr.toString());
        return stdout;
      };
      for (const args of [["-1"], ["-19"], ["--ultra", "-22"], ["--long=27", "-3"], ["--no-check"]])
        expect(paths(await (await applyStack([zstd(args)])).tree()), args.join()).toEqual(expected);
      const halves = Buffer.concat([zstd([], layer.subarray(0, 50_000)), zstd([], layer.subarray(50_000))]);
      expect(paths(await (await applyStack([halves])).tree())).toEqual(expected);
      await expect(
        applyStack([zstd(["--long=28", "--ultra", "-22"], Buffer.concat([layer, Buffer.alloc(1 << 28)]))]),
      ).rejects.toMatchObject({ message: expect.stringContaining("128 MiB") });
    },
    120_000,
  );

  needs("userns", "python3", "zstd")(
    "more than 100 MB with a window of 128 MiB, in the memory that the window needs",
    async () => {
      const big = randomBytes(40_000_000);
      const bytes = Buffer.concat([file("a", big), file("b", big), file("c", big), ending]);
      const { stdout } = spawnSync("zstd", ["-q", "-c", "--long=27", "-1"], { input: bytes, maxBuffer: 1 << 28 });
      expect(stdout.length).toBeLessThan(50_000_000);
      const stack = await applyStack([stdout]);
      expect(stack.results[0]?.done.bytes).toBe(120_000_000);
      const tree = await stack.tree();
      expect(new Set(["a", "b", "c"].map((path) => tree.get(path)?.sha256)).size).toBe(1);
    },
    120_000,
  );

  needs("userns", "python3")("a damaged end takes the layer back: nothing half-made is called done", async () => {
    const gz = gzipSync(layer);
    await expect(applyStack([gz.subarray(0, -4)])).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("unpacking layer 1: the gzip stream is cut off"),
    });
    await expect(applyStack([layer.subarray(0, 3000)])).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("the archive is cut off"),
    });
  });
});

describe("bombs", () => {
  const used = (dir: string): number => {
    const { bsize, blocks, bfree } = statfsSync(dir);
    return (blocks - bfree) * bsize;
  };

  needs("userns", "python3")(
    "1 MB that becomes 1 GB, with a limit of 100 MB: refused with less than that written",
    async () => {
      const folder = "/dev/shm/".concat(`belljar-bomb-${process.pid}`);
      mkdirSync(folder);
      try {
        const million = gzipSync(Buffer.alloc(1_000_000));
        const bomb = Buffer.concat([gzipSync(header({ name: "f", size: 1_000_000_000 })), ...Array.from({ length: 1000 }, () => million)]);
        expect(bomb.length).toBeLessThan(1_500_000);
        const before = used(folder);
        await expect(applyStack([bomb], { folder, limits: { maxBytes: 100_000_000 } })).rejects.toMatchObject({
          code: "image-invalid",
          message: expect.stringContaining("more than 100000000 bytes"),
        });
        expect(used(folder) - before).toBeLessThan(101_000_000);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
    60_000,
  );

  needs("userns", "python3")("more entries than allowed", async () => {
    const one = header({ name: "same" });
    const many = gzipSync(Buffer.concat(Array.from({ length: 30_000 }, () => one)));
    await expect(applyStack([many], { limits: { maxEntries: 20_000 } })).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("more than 20000 entries"),
    });
  });

  needs("userns", "python3")("an extended header of 2 GB, a directory 5000 deep, a path of 10 000 bytes", async () => {
    for (const [layer, reason] of [
      [header({ name: "x", type: "x", size: base256(2 ** 31, 12) }), "more than 1048576 bytes"],
      [archive(pax({ path: "d/".repeat(5000) }), header({ name: "d", type: "5" })), "more than 4095 bytes"],
      [archive(pax({ path: "d/".repeat(2000) }), header({ name: "d", type: "5" })), "more than 256 components"],
      [archive(file("n/".repeat(5000))), "more than 4095 bytes"],
    ] as const)
      await expect(applyStack([layer])).rejects.toMatchObject({ code: "image-invalid", message: expect.stringContaining(reason) });
  });

  needs("userns", "python3")(
    "200 MB of zeros in one file are legal",
    async () => {
      const million = gzipSync(Buffer.alloc(1_000_000));
      const stack = await applyStack([
        Buffer.concat([
          gzipSync(header({ name: "f", size: 200_000_000 })),
          ...Array.from({ length: 200 }, () => million),
          gzipSync(Buffer.alloc(512 - (200_000_000 % 512))),
          gzipSync(ending),
        ]),
      ]);
      expect(stack.results[0]?.done.bytes).toBe(200_000_000);
    },
    60_000,
  );

  needs("userns", "python3")("links that multiply when followed end at forty", async () => {
    const links = Array.from({ length: 60 }, (_, i) => header({ name: `l${i}`, type: "2", link: `l${i + 1}/l${i + 1}` }));
    await expect(applyStack([archive(...links, file("l0/x"))])).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("too many links"),
    });
  });

  needs("userns", "python3")("a directory of a depth that is made of links is refused before it is too deep to remove", async () => {
    const name = "d".repeat(200);
    const entries = Array.from({ length: 30 }, (_, i) => [
      directory(`l${i}/${name}`),
      symlink(`l${i + 1}`, "", { pax: { linkpath: `l${i}/${name}` } }),
    ]).flat();
    await expect(applyStack([archive(directory("l0"), ...entries)])).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("name too long"),
    });
  });
});
