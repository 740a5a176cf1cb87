import { ContentError, type ContentErrorCode, hasErrorCode } from "@stowage/content";

const DAMAGED: readonly ContentErrorCode[] = [
  "ERR_CONTENT_DIGEST_MISMATCH",
  "ERR_CONTENT_NOT_FOUND",
  "ERR_CONTENT_SIZE_MISMATCH",
];

/**
 * Says of bytes that were read from a store and are not what they should be that it is the store
 * which is damaged, and what to do: as they are, these errors speak of who has sent the bytes.
 * Anything else passes untouched. For whoever reads blobs of a store.
 *
 * @param subject - What they are, as "image sha256:…: its config".
 */
export function asContentDamage(error: unknown, subject: string): unknown {
  const code = DAMAGED.find((known) => hasErrorCode(error, known));
  if (code === undefined || !(error instanceof Error)) return error;
  return new ContentError(code, `${subject} is damaged here: ${error.message}`, {
    cause: error,
    hint: "Pull the image again, or run fsck --repair: only what is damaged is fetched.",
  });
}
