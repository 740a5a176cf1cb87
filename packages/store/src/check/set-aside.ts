import { dirname, join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { renameNoReplace } from "../linux/file-calls.ts";
import { randomName, syncDirectory } from "../publish-file.ts";
import type { StoreContext } from "../store-context.ts";
import type { Mended } from "./check-run.ts";

/**
 * Takes what can not be read out of the store, and keeps it in the trash under a name that says what
 * it was: nothing empties that but a person.
 */
export async function setAside(
  { layout }: StoreContext,
  path: string,
  kind: string,
): Promise<Mended> {
  const kept = join(layout.trash, `kept-${kind}-${randomName()}`);
  try {
    renameNoReplace(path, kept);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return { outcome: "repaired", remark: "it is gone" };
    throw error;
  }
  await syncDirectory(dirname(path));
  return { outcome: "set aside", remark: `it is in ${kept}` };
}
