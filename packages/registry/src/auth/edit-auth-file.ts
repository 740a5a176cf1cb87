import type { JsonValue } from "@stowage/content";

import { editFile } from "../config/edit-file.ts";
import { type AuthFileEntries, parseAuthFile } from "./auth-file.ts";

/** The entries after an edit: what is `undefined` goes, what is not named stays. */
export type AuthEdits = ReadonlyMap<string, JsonValue | undefined>;

/**
 * Changes entries of `auths` in a file that is 0600 afterwards; all else in it stays as it is. The
 * file is left alone where nothing changes.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_AUTH_FILE` if the file is malformed; it is not
 *   written over. As `editFile` does.
 */
export async function editAuthFile(
  path: string,
  decide: (entries: AuthFileEntries) => AuthEdits,
  signal: AbortSignal | undefined,
): Promise<void> {
  const edit = (bytes: Uint8Array = Buffer.from("{}")): Uint8Array | undefined => {
    const entries = parseAuthFile({ path, legacy: false }, bytes);
    const edits = decide(entries);
    if (edits.size === 0) return undefined;
    const auths = new Map(entries.auths);
    for (const [key, value] of edits) {
      if (value === undefined) auths.delete(key);
      else auths.set(key, value);
    }
    const document = new Map(entries.document).set("auths", Object.fromEntries(auths));
    return Buffer.from(`${JSON.stringify(Object.fromEntries(document), null, 2)}\n`);
  };
  await editFile(path, edit, { mode: 0o600, signal });
}
