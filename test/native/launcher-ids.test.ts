import { readFileSync, statSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect } from "vitest";
import type { SandboxPlan } from "../../policy/wire/wire.gen.ts";
import { needs } from "../helpers/abilities.ts";
import { execPlan, launch, sandboxPlan } from "../helpers/launcher.ts";
import { tempDir } from "../helpers/places.ts";

function range(file: string): { readonly start: number; readonly count: number } {
  const line = readFileSync(file, "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${userInfo().username}:`));
  const [, start, count] = (line ?? "").split(":").map(Number);
  return { start: start ?? 0, count: count ?? 0 };
}

function subordinate(more: Partial<SandboxPlan> = {}, isolated = false): SandboxPlan {
  const map = (file: string, own: number) => {
    const { start, count } = range(file);
    return isolated
      ? [{ containerId: 0, hostId: start, size: count }]
      : [
          { containerId: 0, hostId: own, size: 1 },
          { containerId: 1, hostId: start, size: count },
        ];
  };
  return sandboxPlan({
    idMode: "subordinate",
    callerMapped: !isolated,
    denySetgroups: false,
    uidMaps: map("/etc/subuid", process.getuid?.() ?? 0),
    gidMaps: map("/etc/subgid", process.getgid?.() ?? 0),
    newuidmap: "/usr/bin/newuidmap",
    newgidmap: "/usr/bin/newgidmap",
    ...more,
  });
}

describe("subordinate ids", () => {
  for (const isolated of [false, true]) {
    needs("subids")(
      `the program runs as its id with the groups of the plan (${isolated ? "caller outside the map" : "caller is id 0"})`,
      async () => {
        const { verdict, stdout, stderr } = await launch(
          subordinate({}, isolated),
          execPlan(
            [
              "sh",
              "-c",
              "id -u; id -g; id -G; grep -E '^(CapEff|CapBnd|Groups)' /proc/self/status; touch mine; stat -c %u:%g mine; cat /proc/self/setgroups",
            ],
            { groups: [5, 42] },
          ),
        );
        expect([verdict, stderr]).toEqual(["ok", ""]);
        expect(stdout.split("\n").slice(0, 7)).toEqual([
          "1000",
          "1000",
          "1000 5 42",
          "Groups:\t5 42 ",
          "CapEff:\t0000000000000000",
          "CapBnd:\t0000000000000000",
          "1000:1000",
        ]);
        expect(stdout).toContain("allow");
      },
    );
  }

  needs("subids")("files go in and out although they belong to an id that is not the caller's", async () => {
    const dir = tempDir();
    writeFileSync(join(dir, "in"), "input", { mode: 0o600 });
    const exec = execPlan(["sh", "-c", "umask 077; cat deep/er/in > out; stat -c %u:%a deep/er/in out; chmod 755 out"], {
      filesIn: [{ hostPath: join(dir, "in"), target: "deep/er/in", mode: 0o600 }],
      filesOut: [{ source: "out", hostPath: join(dir, "copied"), maxBytes: 100n }],
    });
    const { verdict, stdout, outputs } = await launch(subordinate(), exec);
    expect([verdict, stdout]).toEqual(["ok", "1000:600\n1000:600\n"]);
    expect(outputs).toMatchObject([{ index: 0, failure: "none", bytes: 5n }]);
    expect(readFileSync(join(dir, "copied"), "utf8")).toBe("input");
    expect(statSync(join(dir, "copied")).uid).toBe(process.getuid?.());
  });

  needs("subids")("capabilities within the ceiling are held, those beyond are not", async () => {
    const chown = 1n << 0n;
    const { stdout } = await launch(
      subordinate({ boundingSet: chown }),
      execPlan(["sh", "-c", "grep -E '^Cap(Prm|Eff|Bnd|Amb)' /proc/self/status; touch f; chown 7:7 f && stat -c %u f"], {
        capabilities: chown | (1n << 21n),
      }),
    );
    expect(stdout.split("\n")).toEqual([
      "CapPrm:\t0000000000000001",
      "CapEff:\t0000000000000001",
      "CapBnd:\t0000000000000001",
      "CapAmb:\t0000000000000001",
      "7",
      "",
    ]);
  });

  needs("subids")("a range that is not the caller's is refused by newuidmap, and the record says so", async () => {
    const { verdict, record } = await launch(subordinate({ uidMaps: [{ containerId: 0, hostId: 0, size: 1 }] }), execPlan(["true"]));
    expect(verdict).toBe("sandbox-error");
    expect(record).toMatchObject({
      errorStage: "parent",
      errorStep: "mapIds",
      errorIndex: 1,
      errorErrno: 1,
      errorText: "/usr/bin/newuidmap",
    });
  });
});
