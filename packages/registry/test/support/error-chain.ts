import { inspect } from "node:util";

/** All that an error shows to who looks closely: message, stack, properties, causes. */
export function inspectChain(error: unknown): string {
  return inspect(error, { depth: 20, showHidden: true, maxStringLength: null });
}
