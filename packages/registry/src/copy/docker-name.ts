import { errorKind } from "@stowage/content";
import { formatReference, parseReference, withDefaultTag } from "@stowage/reference";

/**
 * Whether two names mean the same image to Docker, which writes `app:1` where others write
 * `docker.io/library/app:1`. What is no name of an image means itself alone.
 */
export function isSameDockerName(one: string, other: string): boolean {
  return one === other || (wholeName(one) ?? one) === (wholeName(other) ?? other);
}

/** A name in full, its tag included; `undefined` for what is none. */
export function wholeName(text: string): string | undefined {
  try {
    return formatReference(withDefaultTag(parseReference(text)));
  } catch (error) {
    if (errorKind(error) === undefined) throw error;
    return undefined;
  }
}
