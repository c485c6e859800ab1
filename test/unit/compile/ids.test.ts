import { describe, expect, test } from "vitest";
import type { HostFacts } from "../../../policy/compile/types.ts";
import { compile, errorOf, facts, policy } from "./fixtures.ts";

const subordinate: HostFacts["subordinate"] = {
  uids: [
    { start: 100_000, count: 1500 },
    { start: 300_000, count: 500 },
  ],
  gids: [{ start: 200_000, count: 65_536 }],
  newuidmap: "/usr/bin/newuidmap",
  newgidmap: "/usr/bin/newgidmap",
};
const user = { ...policy.user, mode: "subordinate" as const };

describe("single id", () => {
  test("the caller's id alone, under the number of the profile", () => {
    const { sandbox, exec } = compile().plan;
    expect(sandbox).toMatchObject({
      idMode: "single",
      callerMapped: true,
      denySetgroups: true,
      uidMaps: [{ containerId: 1000, hostId: 1001, size: 1 }],
      gidMaps: [{ containerId: 1000, hostId: 1002, size: 1 }],
      newuidmap: "",
      newgidmap: "",
      programUid: 1000,
      programGid: 1000,
    });
    expect([exec.uid, exec.gid, exec.groups]).toEqual([1000, 1000, []]);
  });
  test("the option's number wins; without a group the profile's stays", () => {
    const { sandbox, exec } = compile({ request: { user: { uid: 0, gid: null } } }).plan;
    expect(sandbox.uidMaps).toEqual([{ containerId: 0, hostId: 1001, size: 1 }]);
    expect([exec.uid, exec.gid]).toEqual([0, 1000]);
    expect(compile({ request: { user: { uid: 5, gid: 6 } } }).plan.exec.gid).toBe(6);
  });
  test.each([-1, 1.5, 0xffff_ffff])("user id %d is refused", (uid) => {
    const error = errorOf(() => compile({ request: { user: { uid, gid: null } } }));
    expect(error.code).toBe("usage");
    expect(error.message).toContain(`user id ${uid}`);
    expect(errorOf(() => compile({ policy: { user: { ...policy.user, gid: uid } } })).code).toBe("profile-invalid");
  });
});

describe("subordinate ids", () => {
  test("the caller is 0, the ranges follow one behind the other, setgroups stays possible", () => {
    expect(compile({ policy: { user }, facts: { subordinate } }).plan.sandbox).toMatchObject({
      idMode: "subordinate",
      callerMapped: true,
      denySetgroups: false,
      uidMaps: [
        { containerId: 0, hostId: 1001, size: 1 },
        { containerId: 1, hostId: 100_000, size: 1500 },
        { containerId: 1501, hostId: 300_000, size: 500 },
      ],
      gidMaps: [
        { containerId: 0, hostId: 1002, size: 1 },
        { containerId: 1, hostId: 200_000, size: 65_536 },
      ],
      newuidmap: "/usr/bin/newuidmap",
      newgidmap: "/usr/bin/newgidmap",
    });
  });
  test("isolated: the caller's id is outside the map", () => {
    const { sandbox } = compile({ policy: { user: { ...user, map: "isolated" } }, facts: { subordinate } }).plan;
    expect(sandbox.callerMapped).toBe(false);
    expect(sandbox.uidMaps[0]).toEqual({ containerId: 0, hostId: 100_000, size: 1500 });
  });
  test("a program id that no range reaches is refused", () => {
    const error = errorOf(() => compile({ policy: { user: { ...user, uid: 2001 } }, facts: { subordinate } }));
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toBe("mapping ids: user id 2001: the sandbox has only the ids 0 to 2000");
    expect(errorOf(() => compile({ policy: { user }, facts: { subordinate }, request: { user: { uid: 1, gid: 70_000 } } })).code).toBe(
      "usage",
    );
  });
  test("without ranges or helpers the run is refused with the command that helps", () => {
    const noRange = errorOf(() => compile({ policy: { user }, facts: { subordinate: { ...subordinate, gids: [] } } }));
    expect(noRange.code).toBe("guard-unavailable");
    expect(noRange.message).toContain("alice has no range in /etc/subgid");
    expect(noRange.hint).toContain("usermod --add-subuids 231072-296607 --add-subgids 231072-296607 alice");
    expect(errorOf(() => compile({ policy: { user }, facts: { subordinate: { ...subordinate, uids: [] } } })).message).toContain(
      "/etc/subuid",
    );
    const noHelper = errorOf(() => compile({ policy: { user }, facts: { subordinate: { ...subordinate, newgidmap: null } } }));
    expect(noHelper.code).toBe("guard-unavailable");
    expect(noHelper.hint).toContain("uidmap");
    expect(errorOf(() => compile({ policy: { user }, facts })).code).toBe("guard-unavailable");
  });
});
