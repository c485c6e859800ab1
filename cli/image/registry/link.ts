/**
 * The target of `rel="next"` in a Link header (RFC 8288), as it stands there; null without one. Targets stand in angle brackets and values may
 * be quoted, so that commas and semicolons within them split nothing.
 */
export function nextLink(header: string | readonly string[] | undefined): string | null {
  const text = header === undefined ? "" : typeof header === "string" ? header : header.join(", ");
  const link = /<([^>]*)>((?:\s*;\s*[^\s=;,"]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)/g;
  const parameter = /;\s*([^\s=;,"]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/g;
  for (const [, target = "", parameters = ""] of text.matchAll(link)) {
    for (const [, name = "", quoted, bare] of parameters.matchAll(parameter)) {
      if (name.toLowerCase() === "rel" && (quoted ?? bare ?? "").toLowerCase().split(/\s+/).includes("next")) return target;
    }
  }
  return null;
}
