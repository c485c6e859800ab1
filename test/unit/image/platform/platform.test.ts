import { describe, expect, test } from "vitest";
import type { Descriptor, ImageIndex, Platform } from "../../../../cli/image/oci-types.ts";
import {
  canRun,
  choosePlatform,
  configPlatform,
  formatPlatform,
  hostPlatform,
  parsePlatform,
  platformCandidates,
  x86Level,
} from "../../../../cli/image/platform.ts";
import { caught } from "../../cli/caught.ts";

let count = 0;
function entry(platform: string | null, more: Partial<Descriptor> = {}): Descriptor {
  const [os = "", architecture = "", variant] = platform?.split("/") ?? [];
  count++;
  return {
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: `sha256:${String(count).padStart(64, "0")}`,
    size: 1,
    ...(platform === null ? {} : { platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } }),
    ...more,
  };
}
const indexOf = (...manifests: readonly Descriptor[]): ImageIndex => ({ schemaVersion: 2, manifests });

const attestation = entry("unknown/unknown", { annotations: { "vnd.docker.reference.type": "attestation-manifest" } });
const index = indexOf(attestation, entry("linux/arm/v6"), entry("linux/arm/v7"), entry("linux/arm64"), entry("linux/amd64"));
const chosen = (from: ImageIndex, wanted: string): string =>
  formatPlatform(choosePlatform(from, parsePlatform(wanted)).platform as Platform);

describe("an index as buildkit writes it", () => {
  test.each([
    ["linux/arm/v7", "linux/arm/v7"],
    ["linux/arm/v6", "linux/arm/v6"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/arm64", "linux/arm64"],
    ["linux/arm64/v8", "linux/arm64"],
    ["linux/amd64", "linux/amd64"],
    ["linux/amd64/v3", "linux/amd64"],
    ["X86_64", "linux/amd64"],
    ["aarch64", "linux/arm64"],
    ["Linux/ARM64", "linux/arm64"],
    ["armhf", "linux/arm/v7"],
    ["armel", "linux/arm/v6"],
    ["linux/arm/7", "linux/arm/v7"],
  ])("for %s takes %s", (wanted, expected) => expect(chosen(index, wanted)).toBe(expected));

  test.each(["linux/arm/v5", "linux/s390x", "windows/amd64", "linux/386"])("has nothing for %s", (wanted) => {
    expect(caught(() => chosen(index, wanted))).toMatchObject({
      code: "image-not-found",
      message: `choosing an image: there is none for ${wanted}, only for linux/arm/v6, linux/arm/v7, linux/arm64, linux/amd64`,
    });
  });
});

test("the newest variant that the machine runs, never a newer one", () => {
  const arms = indexOf(entry("linux/arm/v8"), entry("linux/arm/v5"), entry("linux/arm/v6"));
  expect(chosen(arms, "linux/arm/v7")).toBe("linux/arm/v6");
  expect(chosen(arms, "linux/arm/v5")).toBe("linux/arm/v5");
  const levels = indexOf(entry("linux/amd64"), entry("linux/amd64/v2"), entry("linux/amd64/v3"), entry("linux/amd64/v4"));
  expect(chosen(levels, "linux/amd64/v3")).toBe("linux/amd64/v3");
  expect(chosen(levels, "linux/amd64")).toBe("linux/amd64");
  expect(chosen(indexOf(entry("linux/arm")), "linux/arm/v7")).toBe("linux/arm");
  expect(caught(() => chosen(indexOf(entry("linux/arm")), "linux/arm/v6"))?.code).toBe("image-not-found");
  expect(caught(() => chosen(indexOf(entry("linux/arm64/v9")), "linux/arm64"))?.code).toBe("image-not-found");
});

test("a variant without an order must be the same", () => {
  const odd = indexOf(entry("linux/amd64/turbo"), entry("linux/riscv64/rva23"));
  expect(caught(() => chosen(odd, "linux/amd64"))?.code).toBe("image-not-found");
  expect(chosen(odd, "linux/riscv64/rva23")).toBe("linux/riscv64/rva23");
});

test("of equals the first wins", () => {
  const [first, second] = [entry("linux/amd64"), entry("linux/amd64")];
  expect(choosePlatform(indexOf(first, second), parsePlatform("amd64"))).toBe(first);
});

test("an index of attestations only holds no image", () => {
  for (const from of [indexOf(attestation), indexOf(), indexOf(entry("unknown/unknown")), indexOf(entry(null, { artifactType: "x/y" }))])
    expect(caught(() => chosen(from, "amd64"))).toMatchObject({
      code: "image-not-found",
      message: "choosing an image: the index holds no image at all",
    });
});

test("entries without a platform come last, in their order", () => {
  const [plain, other, amd64] = [entry(null), entry("/"), entry("linux/amd64")];
  expect(platformCandidates(indexOf(plain, other, amd64), parsePlatform("amd64"))).toEqual([amd64, plain, other]);
  expect(platformCandidates(indexOf(plain), parsePlatform("arm64"))).toEqual([plain]);
});

test("entries of Windows are for nobody here, and their os.version does no harm", () => {
  const windows = entry("windows/amd64");
  const from = indexOf(
    { ...windows, platform: { os: "windows", architecture: "amd64", "os.version": "10.0.17763" } },
    entry("linux/amd64"),
  );
  expect(chosen(from, "linux/amd64")).toBe("linux/amd64");
});

test("a hostile platform is shown without steering the terminal", () => {
  const error = caught(() => chosen(indexOf(entry("linux/\u001b[2J")), "amd64"));
  expect(error?.message).toBe("choosing an image: there is none for linux/amd64, only for linux/\\x1b[2j");
});

test.each(["", "a/b/c/d", "linux/", "/amd64", "linux/a b", "linux/\u001b"])("%j is no platform", (text) => {
  expect(caught(() => parsePlatform(text))).toMatchObject({ code: "usage", message: expect.stringContaining("--platform") });
});

describe("this machine", () => {
  const v2 = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3";
  const v3 = `${v2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave`;
  const v4 = `${v3} avx512f avx512bw avx512cd avx512dq avx512vl`;
  test.each([
    ["flags\t\t: fpu sse2", 1],
    [`processor\t: 0\nflags\t\t: fpu ${v2}\nbugs:\n`, 2],
    [`flags\t\t: ${v3}\n`, 3],
    [`flags\t\t: ${v4}\n`, 4],
    [`flags\t\t: ${v4.replace("cx16", "")}\n`, 1],
    ["", 1],
  ])("level of %j", (cpuinfo, level) => expect(x86Level(cpuinfo)).toBe(level));

  test("each kind", () => {
    expect(formatPlatform(hostPlatform("arm64"))).toBe("linux/arm64/v8");
    expect(formatPlatform(hostPlatform("x64", () => `flags : ${v3}`))).toBe("linux/amd64/v3");
    expect(
      formatPlatform(
        hostPlatform("x64", () => {
          throw new Error("no /proc");
        }),
      ),
    ).toBe("linux/amd64/v1");
    expect(canRun({ os: "linux", architecture: "amd64" }, hostPlatform("x64"))).toBe(true);
  });
});

test("a configuration says what it is for, or nothing", () => {
  const rootfs = { type: "layers", diff_ids: [] } as const;
  expect(configPlatform({ os: "", architecture: "", rootfs })).toBeNull();
  expect(configPlatform({ os: "linux", architecture: "arm", variant: "v6", rootfs })).toEqual({
    os: "linux",
    architecture: "arm",
    variant: "v6",
  });
});
