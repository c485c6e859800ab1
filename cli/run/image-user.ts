import type { ImageUser } from "../../policy/compile/types.ts";
import { BelljarError, type ErrorCode } from "../../policy/errors.ts";
import type { Accounts } from "../image/accounts.ts";
import { quoted } from "../output/terminal.ts";

/** 2^32-1 is "no id" to the kernel. */
const maxId = 2 ** 32 - 2;
const isNumber = (text: string): boolean => /^\d{1,10}$/.test(text);

interface PasswdLine {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}
interface GroupLine {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** Lines of passwd(5); those that are none are passed over. */
function passwdLines(text: string | null): readonly PasswdLine[] {
  return (text ?? "").split("\n").flatMap((line) => {
    const [name, , uid = "", gid = ""] = line.split(":");
    return name && isNumber(uid) && isNumber(gid) ? [{ name, uid: Number(uid), gid: Number(gid) }] : [];
  });
}

/** Lines of group(5). */
function groupLines(text: string | null): readonly GroupLine[] {
  return (text ?? "").split("\n").flatMap((line) => {
    const [name, , gid = "", members = ""] = line.split(":");
    return name && isNumber(gid) ? [{ name, gid: Number(gid), members: members.split(",").filter((member) => member !== "") }] : [];
  });
}

export interface UserText {
  /** `NAME`, `UID`, either with `:GROUP` or `:GID`: as option --user and the image's `User` have it. */
  readonly text: string;
  /** Who wrote it, for messages. */
  readonly what: string;
  readonly code: ErrorCode;
}

/**
 * Who a user is, by the image's own files (image specification 1.1, config.md, "User"): a number needs no entry; without a group it is the
 * entry's, else 0; supplementary groups are those that list the user's name, unless a group is given. Throws BelljarError.
 */
export function imageUser({ text, what, code }: UserText, accounts: Accounts): ImageUser {
  const refuse = (reason: string, hint?: string): BelljarError => new BelljarError(code, `${what} ${quoted(text)}: ${reason}`, { hint });
  const [userText = "", groupText, ...rest] = text.split(":");
  if (userText === "" || groupText === "" || rest.length > 0) throw refuse("is not UID, NAME, or either with :GID or :GROUP");
  const users = passwdLines(accounts.passwd);
  const groups = groupLines(accounts.group);
  const entry = users.find(({ name }) => name === userText) ?? users.find(({ uid }) => isNumber(userText) && uid === Number(userText));
  if (entry === undefined && !isNumber(userText)) {
    const names = users.slice(0, 20).map(({ name }) => name);
    throw refuse(
      "no such user in the image",
      names.length === 0
        ? "the image has no /etc/passwd that can be read: give UID:GID"
        : `known there: ${names.join(", ")}; any UID:GID works`,
    );
  }
  const group =
    groupText === undefined
      ? null
      : (groups.find(({ name }) => name === groupText)?.gid ?? (isNumber(groupText) ? Number(groupText) : null));
  if (groupText !== undefined && group === null) {
    const names = groups.slice(0, 20).map(({ name }) => name);
    throw refuse(`no such group in the image: ${quoted(groupText)}`, names.length === 0 ? undefined : `known there: ${names.join(", ")}`);
  }
  const uid = entry?.uid ?? Number(userText);
  const gid = group ?? entry?.gid ?? 0;
  if (uid > maxId || gid > maxId) throw refuse(`ids go up to ${maxId}`);
  const supplementary = groupText === undefined && entry !== undefined ? groups.filter(({ members }) => members.includes(entry.name)) : [];
  return { uid, gid, groups: [...new Set(supplementary.map((one) => one.gid))].filter((one) => one !== gid && one <= maxId) };
}
