import { lstatSync, readFileSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { hostFiles } from "../../cli/host/host-files.ts";
import { subordinateFacts } from "../../cli/host/subid.ts";
import { idWorld, type LayerIds } from "../../cli/image/layer/ids.ts";
import { ownerWarning } from "../../cli/image/layer/warnings.ts";
import { needs } from "../helpers/abilities.ts";
import { applyStack, layerFolder } from "../helpers/layer-tree.ts";
import { archive, directory, file, hardlink, symlink } from "../helpers/tar-writer.ts";

type Subordinate = Extract<LayerIds, { readonly kind: "subordinate" }>;

/** The caller as 0, then `count` ids of the first range. */
function subordinate(count: number, unmapped: Subordinate["unmapped"] = "fail"): Subordinate {
  const { uid, gid, username } = userInfo();
  const { uids, gids, newuidmap, newgidmap } = subordinateFacts(hostFiles(), { name: username, uid });
  const maps = (own: number, start: number | undefined) => [
    { containerId: 0, hostId: own, size: 1 },
    { containerId: 1, hostId: start ?? 0, size: count },
  ];
  return {
    kind: "subordinate",
    uidMaps: maps(uid, uids[0]?.start),
    gidMaps: maps(gid, gids[0]?.start),
    newuidmap: newuidmap ?? "",
    newgidmap: newgidmap ?? "",
    unmapped,
  };
}

/** The id on the host that stands for one inside. */
const onHost = (ids: Subordinate, id: number): number => {
  const map = ids.uidMaps.find(({ containerId, size }) => id >= containerId && id < containerId + size);
  return map === undefined ? -1 : map.hostId + id - map.containerId;
};

describe("owners with subordinate ids", () => {
  needs("subids", "python3")("are real; set-id bits and capabilities outlive the change of owner", async () => {
    const ids = subordinate(65535);
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    const stack = await applyStack(
      [
        archive(
          directory("d", 0o2751, { uid: 33, gid: 42 }),
          file("d/f", "x", { uid: 1000, gid: 1000, mode: 0o6755 }),
          symlink("d/l", "f", { uid: 7, gid: 7 }),
          file("cap", "content", { uid: 5, mode: 0o755, pax: [["SCHILY.xattr.security.capability", capability]] }),
          hardlink("h", "d/f"),
          file("implied/f", "", { uid: 9 }),
          file("secret", "x", { uid: 1000, mode: 0 }),
        ),
        archive(file("d/new", "", { uid: 65534, gid: 65534 }), hardlink("h2", "cap"), file(".wh.secret")),
      ],
      { ids },
    );
    const [lower, upper] = stack.dirs as readonly [string, string];
    const owner = (dir: string, path: string) => lstatSync(join(dir, path)).uid;
    expect(owner(lower, "d/f")).toBe(onHost(ids, 1000));
    expect(owner(lower, "d/l")).toBe(onHost(ids, 7));
    expect(owner(lower, "implied")).toBe(userInfo().uid);
    expect(owner(lower, "implied/f")).toBe(onHost(ids, 9));
    expect((statSync(join(lower, "d/f")).mode & 0o7777).toString(8)).toBe("6755");
    expect(stack.results.map(({ done }) => done.refusedXattrs)).toEqual([0, 0]);
    // A directory that the second layer does not list has the owner of the first.
    expect(owner(upper, "d")).toBe(onHost(ids, 33));
    expect(statSync(join(upper, "d")).gid).toBe((ids.gidMaps[1]?.hostId ?? 0) + 41);
    expect((statSync(join(upper, "d")).mode & 0o7777).toString(8)).toBe("2751");
    expect(owner(upper, "d/new")).toBe(onHost(ids, 65534));
    expect(owner(upper, "h2")).toBe(onHost(ids, 5));
    expect(stack.results.map(({ deviations }) => deviations.squashedOwners)).toEqual([0, 0]);
  });

  for (const [what, fields, id] of [
    ["user 70000", { uid: 70000 }, "user 70000"],
    ["group 70000", { gid: 70000 }, "group 70000"],
    ["user 1516583083", { pax: { uid: "1516583083" } }, "user 1516583083"],
    ["user -1", { pax: { uid: "-1" } }, "user -1"],
    ["user 4294967295", { pax: { uid: "4294967295" } }, "user 4294967295"],
  ] as const) {
    needs("subids", "python3")(`${what}, which the range lacks, is an error that names it and the fix`, async () => {
      await expect(
        applyStack([archive(file("a", "", { uid: 1000 }), file("b", "", fields))], { ids: subordinate(65535) }),
      ).rejects.toMatchObject({
        code: "image-invalid",
        message: expect.stringContaining(`'b': belongs to ${id}`),
        hint: expect.stringMatching(/usermod --add-sub[ug]ids|single id/),
      });
    });
  }

  needs("subids", "python3")("are squashed to nobody where that is wished, and counted", async () => {
    const ids = subordinate(65535, "squash");
    const stack = await applyStack(
      [archive(file("a", "", { uid: 70000, gid: 3 }), file("b", "", { pax: { uid: "-1", gid: "4294967295" } }), file("c"))],
      { ids },
    );
    const [dir] = stack.dirs as readonly [string];
    expect(statSync(join(dir, "a")).uid).toBe(onHost(ids, 65534));
    expect(statSync(join(dir, "a")).gid).toBe((ids.gidMaps[1]?.hostId ?? 0) + 2);
    expect(statSync(join(dir, "b")).uid).toBe(onHost(ids, 65534));
    expect(stack.results[0]?.deviations.squashedOwners).toBe(2);
    expect(ownerWarning(2, false).join()).toContain("owners of 2 files are replaced");
  });

  needs("subids", "python3")("in a small range without nobody are squashed to root", async () => {
    const ids = subordinate(100, "squash");
    const stack = await applyStack([archive(file("a", "", { uid: 1000 }))], { ids });
    expect(statSync(join(stack.dirs[0] as string, "a")).uid).toBe(userInfo().uid);
  });

  needs("subids", "python3")("a range that is not the caller's is refused by newuidmap: a guard, not the image", async () => {
    const ids = { ...subordinate(10), uidMaps: [{ containerId: 0, hostId: 0, size: 1 }] };
    await expect(applyStack([archive(file("a"))], { ids, folder: layerFolder() })).rejects.toMatchObject({
      code: "guard-unavailable",
      message: expect.stringContaining("mapIds"),
    });
  });

  needs("subids", "python3")("a helper that is not there is a guard too", async () => {
    await expect(
      applyStack([archive(file("a"))], { ids: { ...subordinate(10), newuidmap: "/nonexistent/newuidmap" }, folder: layerFolder() }),
    ).rejects.toMatchObject({
      code: "guard-unavailable",
      message: expect.stringContaining("no such file"),
    });
  });

  needs("subids")("each map is a world of its own to the store", () => {
    const worlds = [idWorld({ kind: "single" }), idWorld(subordinate(10)), idWorld(subordinate(11)), idWorld(subordinate(10, "squash"))];
    expect(new Set(worlds).size).toBe(4);
    for (const world of worlds) expect(world).toMatch(/^[a-z0-9-]{1,80}$/);
    expect(readFileSync("/etc/subuid", "utf8")).toContain(":");
  });
});
