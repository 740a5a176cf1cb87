import { isAbsolute, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { escapeText, hasErrorCode } from "@stowage/content";

import { withoutSecrets } from "../scope/shown-scope.ts";

/** Why a path does not lead to a file of keys, as what its name is followed by. */
export function badPath(path: string, cause: unknown): string {
  if (hasErrorCode(cause, "ENOENT", "ENOTDIR")) return `is not there${whyNotThere(path)}`;
  if (hasErrorCode(cause, "EACCES", "EPERM")) return "may not be read by whoever this runs as";
  if (hasErrorCode(cause, "ELOOP")) return "is a link that leads to itself";
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  return `cannot be read${typeof code === "string" ? `: the system says ${escapeText(code, 40)}` : ""}`;
}

function whyNotThere(path: string): string {
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
