import { createHash } from "node:crypto";

/** Bytes that do not compress, the same for the same seed. */
export function noise(seed: string, size: number): Buffer {
  return createHash("shake256", { outputLength: size }).update(seed).digest();
}

/** Words that compress, the better the harder it is tried. */
export function text(seed: string, size: number): Buffer {
  const words = noise(seed, size).toString("hex").replaceAll(/[0-3]/g, "the ");
  return Buffer.from(words.slice(0, size));
}
