import { describe, expect, test } from "vitest";
import { createClient } from "../../../../cli/image/registry/client.ts";
import { networkLimits } from "../../../../cli/image/registry/limits.ts";
import { listRepositories, listTags } from "../../../../cli/image/registry/tags.ts";
import { createTransport } from "../../../../cli/image/registry/transport.ts";
import { type Script, type ScriptedRegistry, scriptedRegistry } from "../../../helpers/registry.ts";

const what = "listing";

/** Pages of names, each leading to the next by the header that `link` makes of its address. */
const paged =
  (pages: readonly (readonly string[])[], link: (path: string, self: string) => string | readonly string[]): Script =>
  (request, response) => {
    const url = new URL(`http://h${request.path}`);
    const page = Number(url.searchParams.get("page") ?? 0);
    url.searchParams.set("page", String(page + 1));
    const headers = page + 1 < pages.length ? { link: link(`${url.pathname}${url.search}`, request.path) as string[] } : {};
    response.writeHead(200, headers).end(JSON.stringify({ tags: pages[page], repositories: pages[page] }));
  };

async function list(
  script: Script,
  read: typeof listTags = listTags,
  more = {},
): Promise<{ names: readonly string[]; registry: ScriptedRegistry }> {
  const registry = await scriptedRegistry({}, script);
  const limits = { ...networkLimits, firstBackoffMs: 1, attempts: 2, ...more };
  const { signal } = new AbortController();
  const transport = createTransport({ registries: {}, environment: {}, limits, signal });
  const endpoint = { domain: registry.host, host: registry.host, repository: "a/b", schemes: ["http"] } as const;
  const client = createClient({ what, endpoint, transport, limits, signal, credentials: async () => null, onWait: () => undefined });
  try {
    return { names: await read(client, { what, limits, ...more }), registry };
  } finally {
    await transport.close();
  }
}
const pages = [["1", "2"], ["3"], ["4", "1"]];

describe("pages", () => {
  test.each([
    ["relative", (path: string) => `<${path}>; rel="next"`],
    ["bare", (path: string) => `<${path}>; rel=next`],
    ["without a path", (path: string) => `<${path.replace(/^.*\?/, "?")}>; rel="next"`],
    ["among others", (path: string) => ['</x>; rel="prev"', `<${path}>; rel="next"; title="a,b"`]],
  ])("%s", async (_name, link) => {
    const { names, registry } = await list(paged(pages, link));
    expect(names).toEqual(["1", "2", "3", "4"]);
    expect(registry.seen).toHaveLength(3);
  });

  test("by their whole address", async () => {
    const { names } = await list((request, response, next) =>
      paged(pages, (path) => `<http://${request.headers.host}${path}>; rel="next"`)(request, response, next),
    );
    expect(names).toEqual(["1", "2", "3", "4"]);
  });

  test("of repositories", async () => {
    const { names, registry } = await list(
      paged([["a/b"], ["c"]], (path) => `<${path}>; rel="next"`),
      listRepositories,
    );
    expect(names).toEqual(["a/b", "c"]);
    expect(registry.seen[0]?.path).toBe("/v2/_catalog?n=1000");
  });

  test("that lead to themselves are the end", async () => {
    const { names, registry } = await list(paged(pages, (_path, self) => `<${self}>; rel="next"`));
    expect(names).toEqual(["1", "2"]);
    expect(registry.seen).toHaveLength(1);
  });

  test("on another server are not asked for", async () => {
    const other = await scriptedRegistry({}, (_request, response) => response.end('{"tags":["stolen"]}'));
    for (const target of [`${other.origin}/v2/a/b/tags/list`, "//elsewhere.invalid/v2/"])
      await expect(list(paged(pages, () => `<${target}>; rel="next"`))).rejects.toMatchObject({
        code: "registry-failed",
        message: expect.stringContaining("names a next page on another server"),
      });
    expect(other.seen).toEqual([]);
  });

  test("without end are cut off", async () => {
    const endless: Script = (request, response) => {
      const page = Number(new URL(`http://h${request.path}`).searchParams.get("page") ?? 0);
      response.writeHead(200, { link: `</v2/a/b/tags/list?page=${page + 1}>; rel="next"` }).end(`{"tags":["t${page}"]}`);
    };
    await expect(list(endless, listTags, { maxTagPages: 7 })).rejects.toMatchObject({
      message: expect.stringContaining("lists more than 7 pages"),
    });
    await expect(list(endless, listTags, { maxTags: 5 })).rejects.toMatchObject({
      message: expect.stringContaining("lists more than 5 tags"),
    });
    expect((await list(endless, listTags, { enough: 3 })).names).toHaveLength(3);
  });
});

test.each([
  ['{"tags":null}', []],
  ["{}", []],
  ['{"tags":["ok","no tag","\\u001b[2J",7,"../x"]}', ["ok"]],
])("%s", async (body, names) => expect((await list((_request, response) => response.end(body))).names).toEqual(names));

test.each([
  ['{"tags":"x"}', "registry-failed", "sends no list of tags"],
  ["<html>", "image-invalid", "is no JSON"],
  ["[".repeat(1000), "image-invalid", "is nested deeper"],
])("%s is no list", async (body, code, words) => {
  await expect(list((_request, response) => response.end(body))).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
});
