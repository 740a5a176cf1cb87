import { escapeText } from "@stowage/content";

/** Puts what somebody typed into a message. */
export function quoteName(text: string): string {
  return `"${escapeText(text)}"`;
}
