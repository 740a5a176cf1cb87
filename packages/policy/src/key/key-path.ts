import { isAbsolute, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { escapeText, hasErrorCode } from "@stowage/content";

import { nameOfKey } from "./mistaken-key.ts";
import { withoutSecrets } from "../scope/shown-scope.ts";

/** Why a path does not lead to a file of keys, as what its name is followed by. */
export function badPath(path: string, cause: unknown): string {
  if (hasErrorCode(cause, "ENOENT", "ENOTDIR")) return `is not there${whyNotThere(path)}`;
  if (hasErrorCode(cause, "EACCES", "EPERM")) return "may not be read by whoever this runs as";
  if (hasErrorCode(cause, "ELOOP")) return "is a link that leads to itself";
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  return `cannot be read${typeof code === "string" ? `: the system says ${escapeText(code, 40)}` : ""}`;
}

// What escapeText shows by its number, and blanks of other kinds than the one that people mean.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

function whyNotThere(path: string): string {
  const meant = path.trim();
  if (meant !== path) {
    const end = path.trimStart() === path ? "ends in" : "begins with";
    return `: its path ${end} a blank, which is a part of it: write ${JSON.stringify(escapeText(withoutSecrets(meant), 1024))}`;
  }
  const code = UNSEEN.exec(path)?.[0].codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0");
  if (code !== undefined)
    return `: its path has a character in it that nobody sees, U+${code}: write it anew`;
  const name = nameOfKey(path);
  if (name !== undefined)
    return `: it is ${name.what}, and no path: write the path of a file, as \`gpg --export --armor ${name.who} > FILE\` makes it for signedBy`;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(path)) return `: it is a URL, and no path${pathOf(path)}`;
  if (path.startsWith("~"))
    return ": it is no absolute path, and ~ stands for nothing: write the path in full";
  if (/\$\{?[A-Za-z_]/.test(path))
    return ": environment variables stand for nothing in it: write the path in full";
  return isAbsolute(path) ? "" : `: it is no absolute path, and was looked for at ${shown(path)}`;
}

/** Where a path that is not absolute leads from here. */
export function shown(path: string): string {
  return escapeText(resolve(withoutSecrets(path)), 1024);
}

function pathOf(url: string): string {
  try {
    return `: write ${escapeText(fileURLToPath(url), 1024)}`;
  } catch {
    return ", and only files of this machine are read";
  }
}
