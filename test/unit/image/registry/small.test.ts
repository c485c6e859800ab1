import { describe, expect, test } from "vitest";
import { isInnerAddress, isInnerHost, isLoopbackHost, outerLookup } from "../../../../cli/image/registry/addresses.ts";
import { parseMirror, registriesProblem } from "../../../../cli/image/registry/config.ts";
import { endpointsOf } from "../../../../cli/image/registry/endpoint.ts";
import { networkLimits } from "../../../../cli/image/registry/limits.ts";
import { nextLink } from "../../../../cli/image/registry/link.ts";
import { proxyFor } from "../../../../cli/image/registry/proxy.ts";
import { backoffMs, retryAfterMs, TransientError, withRetries } from "../../../../cli/image/registry/retry.ts";
import { errorBodyText, isNotTls, networkCode, networkError, shownUrl } from "../../../../cli/image/registry/words.ts";
import { BelljarError } from "../../../../policy/errors.ts";

describe("addresses", () => {
  test.each(["localhost", "127.0.0.1", "127.8.9.10", "[::1]", "::1"])("%s is loopback", (host) => {
    expect(isLoopbackHost(host)).toBe(true);
    expect(isInnerHost(host)).toBe(true);
  });
  test.each([
    ...["localhost.evil.test", "127.0.0.1.nip.test", "evil-localhost", "127.evil.test", "10.0.0.1", "[::2]", "0.0.0.0", "::ffff:10.0.0.1"],
    ...["[2001:db8::1]", "128.0.0.1", ""],
  ])("%s is not loopback", (host) => expect(isLoopbackHost(host)).toBe(false));
  test.each([
    ...["169.254.169.254", "0.0.0.0", "::", "fe80::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fd00:ec2::254", "255.255.255.255"],
    ...["224.0.0.1", "ff02::1", "100.100.100.200", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"],
  ])("%s is inner", (address) => expect(isInnerAddress(address)).toBe(true));
  test.each(["10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd00::1", "name"])("%s is not inner", (address) =>
    expect(isInnerAddress(address)).toBe(false),
  );
  test("names under localhost count as inner, with a final dot too", () => {
    expect(["x.localhost", "localhost.", "127.0.0.1."].map(isInnerHost)).toEqual([true, true, true]);
  });
  test.each([true, false])("a name that leads to this machine is not connected to (all: %s)", async (all) => {
    const error = await new Promise((resolve) => outerLookup("localhost", { all }, (failure) => resolve(failure)));
    expect(error).toMatchObject({ code: "BELLJAR_INNER_ADDRESS" });
  });
});

describe("next page", () => {
  test.each([
    ['</v2/_catalog?n=2&last=b>; rel="next"', "/v2/_catalog?n=2&last=b"],
    ["</a>; rel=next", "/a"],
    ['<https://r.example/a,b;c>; title="x; rel=prev"; rel="next"', "https://r.example/a,b;c"],
    ['</p>; rel="prev", </n>; REL="last NEXT"', "/n"],
    ['</p>; rel="prev"', null],
    ["</p>", null],
    ["garbage; rel=next", null],
    [undefined, null],
  ])("%s", (header, expected) => expect(nextLink(header)).toBe(expected));
});

describe("Retry-After", () => {
  const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
  test.each([
    ["1", 1000],
    [" 120 ", 120_000],
    ["0", 0],
    ["999999", 999_999_000],
    ["Fri, 02 Jan 2026 03:04:15 GMT", 10_000],
    ["Friday, 02-Jan-26 03:04:15 GMT", 10_000],
    ["Fri Jan  2 03:04:15 2026", 10_000],
    ["Fri, 02 Jan 2026 03:04:00 GMT", 0],
    ["-1", null],
    ["1.5", null],
    ["soon", null],
    ["", null],
    [undefined, null],
  ])("%s", (header, expected) => expect(retryAfterMs(header, nowMs)).toBe(expected));
});

describe("trying again", () => {
  const limits = {
    ...networkLimits,
    firstBackoffMs: 1,
    maxBackoffMs: 2,
    attempts: 3,
    allAttempts: 6,
    progressBytes: 10,
    maxRetryAfterMs: 50,
  };
  const failure = new BelljarError("registry-failed", "pulling 'x': host: status 503");
  const run = async (attempts: readonly (() => unknown)[], signal = new AbortController().signal) => {
    const waits: number[] = [];
    let count = 0;
    const result = withRetries({ limits, signal, onWait: ({ delayMs }) => waits.push(delayMs) }, async () => attempts[count++]?.());
    return { result: await result.catch((error: unknown) => error), waits, attempts: () => count };
  };
  const fails =
    (retryAfter: number | null = null, progressBytes = 0) =>
    () => {
      throw Object.assign(new TransientError(failure, retryAfter), { progressBytes });
    };

  test("until it works", async () => {
    const { result, waits } = await run([fails(), fails(), () => "done"]);
    expect(result).toBe("done");
    expect(waits).toHaveLength(2);
  });
  test("not more often than the limit says", async () => {
    const { result, attempts } = await run([fails(), fails(), fails(), () => "too late"]);
    expect(result).toMatchObject({ code: "registry-failed", message: "pulling 'x': host: status 503 (after 3 attempts)" });
    expect(attempts()).toBe(3);
  });
  test("progress starts the count anew, up to the limit of all", async () => {
    const { result } = await run([fails(), fails(null, 10), fails(), () => "done"]);
    expect(result).toBe("done");
    const { result: last } = await run(Array.from({ length: 9 }, () => fails(null, 100)));
    expect(last).toMatchObject({ message: expect.stringContaining("(after 6 attempts)") });
  });
  test("what the server asks for is waited, unless it is too long", async () => {
    expect((await run([fails(7), () => "done"])).waits).toEqual([7]);
    const { result, waits } = await run([fails(999_999_000)]);
    expect(result).toMatchObject({ message: "pulling 'x': host: status 503 (it asks to wait 999999 s, which is too long)" });
    expect(waits).toEqual([]);
  });
  test("other errors are final, and so is the end of waiting", async () => {
    expect((await run([() => Promise.reject(failure)])).result).toBe(failure);
    expect((await run([fails(50), () => "too late"], AbortSignal.timeout(1))).result).toMatchObject({ name: "AbortError" });
  });
  test("pauses double, vary and end", () => {
    expect([1, 2, 3, 20].map((count) => backoffMs(count, networkLimits, () => 0))).toEqual([500, 1000, 2000, 15_000]);
    expect(backoffMs(1, networkLimits, () => 1)).toBe(250);
  });
});

describe("proxies", () => {
  const proxy = "http://proxy.example:3128/";
  const at = (url: string, environment: Readonly<Record<string, string>>) => proxyFor(new URL(url), environment)?.href ?? null;
  test.each([
    ["https://r.example/", { HTTPS_PROXY: proxy }, proxy],
    ["https://r.example/", { https_proxy: proxy, HTTPS_PROXY: "http://other/" }, proxy],
    ["https://r.example/", { HTTP_PROXY: proxy }, null],
    ["http://r.example/", { HTTP_PROXY: proxy }, proxy],
    ["http://r.example/", { ALL_PROXY: "proxy.example:3128" }, proxy],
    ["https://r.example/", { HTTPS_PROXY: "" }, null],
    ["http://localhost:5000/", { HTTP_PROXY: proxy }, null],
    ["http://127.0.0.1:5000/", { ALL_PROXY: proxy }, null],
    ["http://[::1]:5000/", { ALL_PROXY: proxy }, null],
    ...["*", "r.example", ".example", "*.example", "EXAMPLE", "r.example:443", "a, r.example"].map(
      (list) => ["https://r.example/", { HTTPS_PROXY: proxy, NO_PROXY: list }, null] as const,
    ),
    ...["other", "r.example:444", "xample", "r.example.com", "", "10.0.0.0/8"].map(
      (list) => ["https://r.example/", { HTTPS_PROXY: proxy, NO_PROXY: list }, proxy] as const,
    ),
    ["https://10.1.2.3/", { HTTPS_PROXY: proxy, no_proxy: "10.0.0.0/8" }, null],
    ["https://11.1.2.3/", { HTTPS_PROXY: proxy, no_proxy: "10.0.0.0/8,fe80::/10,10.0.0.0/99,a/b" }, proxy],
    ["https://[2001:db8::5]/", { HTTPS_PROXY: proxy, no_proxy: "2001:db8::/32" }, null],
    ["https://[2001:db8::5]:444/", { HTTPS_PROXY: proxy, no_proxy: "[2001:db8::5]:444" }, null],
    ["https://[2001:db8::5]/", { HTTPS_PROXY: proxy, no_proxy: "2001:db8::5" }, null],
  ] as const)("%s with %j", (url, environment, expected) => expect(at(url, environment)).toBe(expected));

  test.each(["socks5://p.example", "http://", "ftp://secret:word@p.example", "http://u:100%@p.example"])(
    "%s is refused without being shown",
    (text) => {
      const message = (() => {
        try {
          return at("https://r.example/", { HTTPS_PROXY: text });
        } catch (error) {
          return (error as BelljarError).message;
        }
      })();
      expect(message).toBe("reading HTTPS_PROXY or ALL_PROXY: is no URL of an HTTP proxy");
    },
  );
});

describe("configuration of registries", () => {
  test("what is right", () => {
    const value = {
      "docker.io": { mirrors: ["mirror.example", "mirror.example:5000/hub/sub"] },
      "registry.example:5000": { transport: "http" },
      "[::1]:5000": { transport: "https-unverified", certificateAuthority: "/etc/ca.pem" },
    };
    expect(registriesProblem(value)).toBeNull();
    expect(parseMirror("mirror.example:5000/hub/sub")).toEqual({ domain: "mirror.example:5000", prefix: "hub/sub" });
  });
  test.each([
    [[], "registries: must be an object"],
    [{ "https://x": {} }, 'registries: "https://x" is no host with an optional port'],
    [{ x: 1 }, 'registries["x"]: must be an object'],
    [{ x: { insecure: true } }, 'registries["x"].insecure: unknown key (known: transport, certificateAuthority, mirrors)'],
    [{ x: { transport: "ftp" } }, 'registries["x"].transport: must be one of https, https-unverified, http'],
    [{ x: { certificateAuthority: "ca.pem" } }, 'registries["x"].certificateAuthority: must be an absolute path'],
    [{ x: { mirrors: "m" } }, 'registries["x"].mirrors: must be a list of at most 16'],
    [
      { x: { mirrors: ["m", "https://m"] } },
      'registries["x"].mirrors[1]: must be a host with an optional port and a path, without a scheme',
    ],
    [{ x: { mirrors: ["m/"] } }, 'registries["x"].mirrors[0]: must be a host with an optional port and a path, without a scheme'],
  ])("%j", (value, problem) => expect(registriesProblem(value)).toBe(problem));
});

describe("where an image may be", () => {
  const at = (domain: string, registries = {}) =>
    endpointsOf({ domain, path: "library/x" }, registries).map(
      ({ host, repository, schemes }) => `${schemes.join("|")}://${host}/${repository}`,
    );
  test.each([
    ["docker.io", {}, ["https://registry-1.docker.io/library/x"]],
    ["r.example:5000", {}, ["https://r.example:5000/library/x"]],
    ["r.example:5000", { "r.example:5000": { transport: "http" } }, ["http://r.example:5000/library/x"]],
    ["r.example:5000", { "r.example": { transport: "http" } }, ["https://r.example:5000/library/x"]],
    ["localhost:5000", {}, ["https|http://localhost:5000/library/x"]],
    ["127.0.0.1", {}, ["https|http://127.0.0.1/library/x"]],
    ["[::1]:5000", {}, ["https|http://[::1]:5000/library/x"]],
    ["localhost:5000", { "localhost:5000": { transport: "https" } }, ["https://localhost:5000/library/x"]],
    ["localhost.evil.test", {}, ["https://localhost.evil.test/library/x"]],
    ["127.0.0.1.nip.test", {}, ["https://127.0.0.1.nip.test/library/x"]],
    [
      "docker.io",
      { "docker.io": { mirrors: ["m.example/hub", "localhost:5000"] } },
      ["https://m.example/hub/library/x", "https|http://localhost:5000/library/x", "https://registry-1.docker.io/library/x"],
    ],
  ])("%s with %j", (domain, registries, expected) => expect(at(domain, registries)).toEqual(expected));
});

describe("words", () => {
  test.each([
    ['{"errors":[{"code":"DENIED","message":"not yours"},{"code":"X"}]}', "not yours; X"],
    ['{"details":"incorrect username or password"}', "incorrect username or password"],
    ['{"error":"invalid_grant","error_description":"no"}', "no"],
    ["slow down\u001b[2J\n", "slow down\\x1b[2J"],
    ["<html><body>no</body></html>", ""],
    ['{"errors":null}', ""],
    ["null", "null"],
    ["", ""],
    ["x".repeat(1000), `${"x".repeat(300)}…`],
  ])("%j", (body, expected) => expect(errorBodyText(body)).toBe(expected));

  test("an address is shown without what may open a door", () => {
    expect(shownUrl(new URL("https://user:pw@s3.example/a/b?X-Signature=secret#x"))).toBe("https://s3.example/a/b");
  });

  const codeError = (code: string, more = {}) => Object.assign(new Error("m"), { code, ...more });
  test("what may work later is told from what will not", () => {
    for (const code of ["ECONNRESET", "UND_ERR_SOCKET", "UND_ERR_BODY_TIMEOUT", "EAI_AGAIN"])
      expect(networkError("pulling 'x'", "h", codeError(code))).toBeInstanceOf(TransientError);
    for (const code of ["ECONNREFUSED", "ENOTFOUND", "DEPTH_ZERO_SELF_SIGNED_CERT", "CERT_HAS_EXPIRED", "BELLJAR_INNER_ADDRESS"])
      expect(networkError("pulling 'x'", "h", codeError(code))).toMatchObject({ code: "registry-failed" });
    expect(networkError("pulling 'x'", "h", codeError("ECONNREFUSED")).message).toBe("pulling 'x': h: connection refused");
  });
  test("the reason behind several failed addresses is found", () => {
    expect(networkCode(Object.assign(new AggregateError([codeError("ECONNREFUSED")]), { code: "ECONNREFUSED" }))).toBe("ECONNREFUSED");
    expect(networkCode(new TypeError("x", { cause: codeError("ENOTFOUND") }))).toBe("ENOTFOUND");
  });
  test("a refused certificate never leads to plain HTTP", () => {
    for (const code of [
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "CERT_HAS_EXPIRED",
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "UND_ERR_CONNECT_TIMEOUT",
    ])
      expect(isNotTls(codeError(code))).toBe(false);
    for (const code of ["EPROTO", "ERR_SSL_WRONG_VERSION_NUMBER", "ECONNREFUSED", "ECONNRESET"])
      expect(isNotTls(codeError(code))).toBe(true);
  });
});
