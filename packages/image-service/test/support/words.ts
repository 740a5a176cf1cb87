import { noise } from "@stowage/testkit";

/** Text that compresses, the better the harder it is tried. */
export function text(seed: string, size: number): Buffer {
  const words = noise(seed, size).toString("hex").replaceAll(/[0-3]/g, "the ");
  return Buffer.from(words.slice(0, size));
}
