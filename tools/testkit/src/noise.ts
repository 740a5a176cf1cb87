import { createHash } from "node:crypto";

/** Bytes that do not compress, the same for the same seed. */
export function noise(seed: string, size: number): Buffer {
  return createHash("shake256", { outputLength: size }).update(seed).digest();
}
