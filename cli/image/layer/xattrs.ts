export interface Xattr {
  readonly name: string;
  readonly value: Buffer;
}

/** By these an image would speak to overlay file systems and to container tools as if it were one of them. */
const reserved = ["user.overlay.", "trusted.overlay.", "user.fuseoverlayfs.", "user.containers."];

export const isReservedXattr = (name: string): boolean => reserved.some((prefix) => name.startsWith(prefix));

/** XATTR_NAME_MAX, xattr(7). */
const maxNameBytes = 255;
const schily = "SCHILY.xattr.";
const libarchive = "LIBARCHIVE.xattr.";

function unquote(name: string): string {
  return name.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/**
 * Extended attributes of an entry: SCHILY.xattr.NAME with the raw value (star, GNU tar, Go), else LIBARCHIVE.xattr.NAME, the name
 * percent-encoded and the value in base64. Reserved names and impossible ones are counted and left out.
 */
export function readXattrs(pax: ReadonlyMap<string, string>): { readonly xattrs: readonly Xattr[]; readonly stripped: readonly string[] } {
  const found = new Map<string, Buffer>();
  const stripped: string[] = [];
  const take = (name: string, value: Buffer): void => {
    if (found.has(name)) return;
    if (isReservedXattr(name) || name === "" || name.length > maxNameBytes || name.includes("\0")) stripped.push(name);
    else found.set(name, value);
  };
  for (const [key, value] of pax) if (key.startsWith(schily)) take(key.slice(schily.length), Buffer.from(value, "latin1"));
  for (const [key, value] of pax) if (key.startsWith(libarchive)) take(unquote(key.slice(libarchive.length)), Buffer.from(value, "base64"));
  return { xattrs: [...found].map(([name, value]) => ({ name, value })), stripped };
}
