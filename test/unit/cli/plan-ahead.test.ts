import { expect, test } from "vitest";
import { compiledRunId } from "../../../cli/run/plan-file.ts";
import { factsAhead } from "../../../cli/run/prepare.ts";
import { cgroup1, cgroup2, facts } from "../compile/fixtures.ts";

test("a plan for other times counts on cgroups that are there, and on no scope that a run would have to ask for", () => {
  for (const cgroup of [cgroup1, cgroup2]) expect(factsAhead({ ...facts, cgroup }).cgroup).toEqual(cgroup);
  const scope = { ...cgroup2, scope: true as const };
  expect(factsAhead({ ...facts, cgroup: scope }).cgroup).toMatchObject({ kind: "none" });
});

test("the place of a run's name has the length of every name", () => {
  expect(compiledRunId).toMatch(/^belljar-run-\d{10}-\d{16}$/);
});
