/**
 * Whom a process runs as: `user[:group]`, looked up in the container's own `/etc`.
 *
 * @module
 */
import { escapeText, hasErrorCode } from "@stowage/content";

import { RuntimeError } from "../runtime-error.ts";
import type { OciUser } from "./oci-config.ts";
import { readFileInRoot } from "./path-in-root.ts";

/** A user or group, as it was written. */
export type Principal = { readonly id: number } | { readonly name: string };

/** What `user[:group]` says. */
export interface UserSpec {
  readonly user: Principal;
  readonly group?: Principal;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

// 2^32-1 means "no change" to the kernel, and would leave the process root.
const MAX_ID = 0xffff_fffe;

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,254}\$?$/;
const MAX_DATABASE_BYTES = 1024 * 1024;

/**
 * Reads `user[:group]`; an empty text is root. Digits alone are always a number, never a name.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_INVALID_USER` for a number over 4294967294, and for what
 *   is neither a number nor a name that a user can have.
 */
export function parseUserSpec(text: string): UserSpec {
  const [user = "", group, ...more] = text.split(":");
  if (more.length > 0) reject(text, "more than one colon");
  return {
    user: user === "" && group === undefined ? { id: 0 } : parsePrincipal(user, text),
    ...(group !== undefined && { group: parsePrincipal(group, text) }),
  };
}

/**
 * Looks up `text` in `/etc/passwd` and `/etc/group` under `root`. As in docker and podman, a user's
 * other groups count only where no group is named.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_USER_NOT_FOUND` for a name that is not there;
 *   `ERR_RUNTIME_UNSAFE_ROOT` if one of the files is not one, or over 1 MiB.
 */
export async function resolveUser(root: string, text: string): Promise<OciUser> {
  const { user, group } = parseUserSpec(text);
  if ("id" in user && group && "id" in group) return userOf(user.id, group.id, []);
  const entries = parsePasswd(await readDatabase(root, "/etc/passwd"));
  const entry = entries.find((one) =>
    "id" in user ? one.uid === user.id : one.name === user.name,
  );
  const uid = "id" in user ? user.id : entry?.uid;
  if (uid === undefined) throw notFound("user", text, "/etc/passwd");
  if (group && "id" in group) return userOf(uid, group.id, []);
  const groups = parseGroups(await readDatabase(root, "/etc/group"));
  if (group) {
    const found = groups.find((one) => one.name === group.name);
    if (found === undefined) throw notFound("group", text, "/etc/group");
    return userOf(uid, found.gid, []);
  }
  const others = groups.filter((one) => entry && one.members.includes(entry.name));
  return userOf(
    uid,
    entry?.gid ?? 0,
    others.map((one) => one.gid),
  );
}

function parsePrincipal(part: string, text: string): Principal {
  if (/^[0-9]+$/.test(part)) {
    const id = Number(part);
    return id <= MAX_ID ? { id } : reject(text, `${part.slice(0, 32)} is over ${MAX_ID}`);
  }
  return NAME.test(part) ? { name: part } : reject(text, "neither a number nor a name");
}

// The group is among the additional ones as well: a process that drops it must not gain by that.
function userOf(uid: number, gid: number, others: readonly number[]): OciUser {
  return { uid, gid, additionalGids: [...new Set([gid, ...others])] };
}

async function readDatabase(root: string, path: string): Promise<string> {
  try {
    return (await readFileInRoot(root, path, MAX_DATABASE_BYTES)).toString("utf8");
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return "";
    throw error;
  }
}

function parsePasswd(text: string): readonly PasswdEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , uid, gid] = line.split(":");
    const ids = { uid: parseID(uid), gid: parseID(gid) };
    return ids.uid === undefined || ids.gid === undefined
      ? []
      : [{ name, uid: ids.uid, gid: ids.gid }];
  });
}

function parseGroups(text: string): readonly GroupEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , digits, members = ""] = line.split(":");
    const gid = parseID(digits);
    return gid === undefined ? [] : [{ name, gid, members: members.trim().split(",") }];
  });
}

function parseID(digits: string | undefined): number | undefined {
  if (digits === undefined || !/^[0-9]{1,10}$/.test(digits)) return undefined;
  const id = Number(digits);
  return id <= MAX_ID ? id : undefined;
}

function reject(text: string, why: string): never {
  throw new RuntimeError("ERR_RUNTIME_INVALID_USER", `user "${escapeText(text)}": ${why}`);
}

function notFound(what: string, text: string, file: string): RuntimeError {
  return new RuntimeError(
    "ERR_RUNTIME_USER_NOT_FOUND",
    `user "${escapeText(text)}": the ${what} is not in the container's ${file}`,
  );
}
