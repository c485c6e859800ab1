/**
 * The target of `rel="next"` in a Link header (RFC 8288), as it stands there; null without one.
 * Targets are delimited by angle brackets, so that commas and semicolons in them split nothing.
 */
export function nextLink(header: string | readonly string[] | undefined): string | null {
  const text = header === undefined ? "" : typeof header === "string" ? header : header.join(", ");
  const link = /<([^>]*)>((?:\s*;\s*[^\s=;,]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)/g;
  for (const [, target = "", parameters = ""] of text.matchAll(link)) {
    const [, quoted, bare] = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]*))/i.exec(parameters) ?? [];
    if ((quoted ?? bare ?? "").toLowerCase().split(/\s+/).includes("next")) return target;
  }
  return null;
}
