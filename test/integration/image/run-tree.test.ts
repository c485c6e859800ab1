// What a program sees of an image's layers: the same with each driver, byte for byte, whatever the layers do to each other.
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { addCases, expectedLines, maskedCommand } from "../../helpers/layer-cases.ts";
import { drivers, imageHome } from "../../helpers/run-image.ts";
import { asRoot, listSeen, worlds } from "../../helpers/seen-tree.ts";

describe("the tree of an image", () => {
  for (const world of worlds)
    needs(
      "userns",
      "overlay",
      "fuse",
      "fuse-overlayfs",
      ...(world === "subordinate" ? (["subids"] as const) : []),
    )(`is what its layers say, by every driver: ${world} ids`, async () => {
      const home = imageHome();
      await addCases(home);
      const warmed = await home.run("cases", [...asRoot(world), "--overlay-driver", "copy"], ["true"], { program: maskedCommand });
      const warnings = [
        ...(world === "single"
          ? ["belljar: warning: the owners of 4 files are one: with a single id all files belong to root inside"]
          : []),
        "belljar: warning: layer 3: left out 3 devices ('t/special/null'): no ordinary user can make one",
        "belljar: warning: layer 3: left out 5 extended attributes by which overlay file systems are controlled",
      ];
      expect(warmed.stderr.trimEnd().split("\n")).toEqual(warnings);
      for (const driver of drivers) {
        const lines = await listSeen(home, "cases", [...asRoot(world), "--overlay-driver", driver]);
        expect([...lines].sort(), driver).toEqual(expectedLines(world));
      }
    });
});
