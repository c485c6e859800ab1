import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Reference } from "../../../../cli/image/oci-types.ts";
import { familiarReference, formatReference, isDomain, parseReference } from "../../../../cli/image/reference.ts";
import { caught } from "../../cli/caught.ts";

const sha256 = `sha256:${"a".repeat(64)}`;
const sha512 = `sha512:${"b".repeat(128)}`;

describe("names as people write them", () => {
  test.each([
    ["alpine", "docker.io/library/alpine:latest", "alpine:latest"],
    ["debian:12", "docker.io/library/debian:12", "debian:12"],
    ["owner/name", "docker.io/owner/name:latest", "owner/name:latest"],
    ["library/alpine", "docker.io/library/alpine:latest", "alpine:latest"],
    ["docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"],
    ["index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"],
    ["docker:dind", "docker.io/library/docker:dind", "docker:dind"],
    ["x:5000", "docker.io/library/x:5000", "x:5000"],
    ["host:5000/x", "host:5000/x:latest", "host:5000/x:latest"],
    ["host:5000/x:7", "host:5000/x:7", "host:5000/x:7"],
    ["localhost/x", "localhost/x:latest", "localhost/x:latest"],
    ["localhost", "docker.io/library/localhost:latest", "localhost:latest"],
    ["docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x:latest"],
    ["docker.io/library/localhost/x", "docker.io/library/localhost/x:latest", "library/localhost/x:latest"],
    ["127.0.0.1:5000/x", "127.0.0.1:5000/x:latest", "127.0.0.1:5000/x:latest"],
    ["[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"],
    ["[2001:db8::1]/x", "[2001:db8::1]/x:latest", "[2001:db8::1]/x:latest"],
    ["Example.COM/x", "example.com/x:latest", "example.com/x:latest"],
    ["ghcr.io/a/b/c/d", "ghcr.io/a/b/c/d:latest", "ghcr.io/a/b/c/d:latest"],
    ["a/b/c/d", "docker.io/a/b/c/d:latest", "a/b/c/d:latest"],
    [`alpine@${sha256}`, `docker.io/library/alpine@${sha256}`, `alpine@${sha256}`],
    [`alpine@${sha512}`, `docker.io/library/alpine@${sha512}`, `alpine@${sha512}`],
    [`alpine:3.19@${sha256}`, `docker.io/library/alpine:3.19@${sha256}`, `alpine:3.19@${sha256}`],
    ["x/a__b--c.d", "docker.io/x/a__b--c.d:latest", "x/a__b--c.d:latest"],
    [`x:${"t".repeat(128)}`, `docker.io/library/x:${"t".repeat(128)}`, `x:${"t".repeat(128)}`],
  ])("%s", (text, full, familiar) => {
    const reference = parseReference(text);
    expect(formatReference(reference)).toBe(full);
    expect(familiarReference(reference)).toBe(familiar);
  });

  test("a digest wins, and the tag is kept for display", () => {
    expect(parseReference(`host:5000/x:1@${sha256}`)).toEqual({ domain: "host:5000", path: "x", tag: "1", digest: sha256 });
    expect(parseReference(`x@${sha256}`).tag).toBeNull();
  });
});

describe("everything else is refused", () => {
  test.each([
    ["", "is empty"],
    ["Alpine", "upper-case"],
    ["library/Alpine", "upper-case"],
    ["Library/alpine", "upper-case"],
    ["ghcr.io/Owner/x", "upper-case"],
    [`x:${"t".repeat(129)}`, "no tag"],
    ["x:", "no tag"],
    ["x:.a", "no tag"],
    ["x:a b", "no tag"],
    ["x@", "no digest"],
    ["x@sha256:abc", "no digest"],
    [`x@sha256:${"a".repeat(63)}`, "no digest"],
    [`x@sha256:${"A".repeat(64)}`, "no digest"],
    [`x@md5:${"a".repeat(32)}`, "no digest"],
    [`x@${sha256}@${sha256}`, "no digest"],
    [`x@${sha256}:tag`, "no digest"],
    ["x@sha256:../../x", "no digest"],
    ["../x", "no host name"],
    ["a/../b", "not made of"],
    ["a//b", "not made of"],
    ["a/", "not made of"],
    ["/a", "not made of"],
    ["host:5000/", "no name"],
    ["a_-b", "not made of"],
    ["-a", "not made of"],
    ["a b", "not made of"],
    ["a\n", "not made of"],
    ["a%2fb", "not made of"],
    ["ä", "not made of"],
    ["user@host/x", "no digest"],
    ["host:0/x", "no host name"],
    ["host:70000/x", "no host name"],
    ["host:050/x", "no host name"],
    ["host.-a.b/x", "no host name"],
    ["[::g]/x", "no host name"],
    ["[::1/x", "no host name"],
    ["127.1/x", "no host name"],
    ["0x7f.1:80/x", "no host name"],
    ["0177.0.0.1/x", "no host name"],
    ["2130706433:80/x", "no host name"],
    ["127.0.0.1./x", "no host name"],
    ["a".repeat(64), "is an id"],
    [`docker.io/${"a/".repeat(150)}a`, "longer than 255"],
    ["a".repeat(700), "longer than 600"],
    ["docker://alpine", "transport"],
    ["https://ghcr.io/a/b", "transport"],
    ["oci:/tmp/a:b", "transport"],
    ["oci:alpine", "transport"],
    ["docker-archive:a:b.tar", "transport"],
    ["docker-archive:/tmp/x.tar", "transport"],
    ["containers-storage:alpine", "transport"],
  ])("%s", (text, words) => {
    expect(caught(() => parseReference(text))).toMatchObject({ code: "image-reference", message: expect.stringContaining(words) });
  });

  test("the message is one line that steers no terminal", () => {
    expect(caught(() => parseReference("a\u001b[2J\nb"))?.message).toBe(
      "reading an image reference: 'a\\x1b[2J\\nb': the name is not made of lower-case letters, digits and single separators (. _ __ - /)",
    );
  });

  test("the hint for docker:// is the same without it", () => {
    expect(caught(() => parseReference("docker://ghcr.io/a/b:1"))?.hint).toBe("write ghcr.io/a/b:1");
    expect(caught(() => parseReference("Alpine:3"))?.hint).toBe("write alpine:3");
  });
});

const word = fc.stringMatching(/^[a-z0-9]{1,6}$/);
const references: fc.Arbitrary<Reference> = fc.record({
  domain: fc.oneof(
    fc.constantFrom("docker.io", "localhost", "localhost:5000", "127.0.0.1:80", "[::1]:5000"),
    word.map((name) => `${name}.example`),
  ),
  path: fc.array(word, { minLength: 2, maxLength: 4 }).map((words) => words.join("/")),
  tag: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}$/),
  digest: fc.constantFrom(null, sha256 as Reference["digest"], sha512 as Reference["digest"]),
});

describe("properties", () => {
  test("both forms read back as the same reference", () => {
    fc.assert(
      fc.property(references, (reference) => {
        expect(parseReference(formatReference(reference))).toEqual(reference);
        expect(parseReference(familiarReference(reference))).toEqual(reference);
      }),
    );
  });

  test("whatever passes makes a URL of that host and that path", () => {
    const pieces = fc.constantFrom(
      "a",
      "B",
      "0",
      ".",
      "..",
      "/",
      ":",
      "@",
      "[",
      "]",
      "-",
      "_",
      "%",
      "?",
      "#",
      "\\",
      "localhost",
      "docker.io",
      " ",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        let reference: Reference;
        try {
          reference = parseReference(parts.join(""));
        } catch (error) {
          expect((error as { readonly code?: string }).code).toBe("image-reference");
          return;
        }
        const { domain, path, tag } = reference;
        const url = new URL(`https://${domain}/v2/${path}/manifests/${tag}`);
        expect(url.pathname).toBe(`/v2/${path}/manifests/${tag}`);
        expect(url.username + url.search + url.hash).toBe("");
        expect(isDomain(domain)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
