import type { Digest } from "./digest.ts";
import { digestOf } from "./digest.ts";

/** The digest of an uncompressed layer. */
export type DiffID = Digest;
/** The name of a stack of layers. */
export type ChainID = Digest;

/**
 * The chain ID of each layer of a stack, base first.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid
 */
export function chainIDs(diffIDs: readonly DiffID[]): readonly ChainID[] {
  const chain: ChainID[] = [];
  for (const diffID of diffIDs) {
    const below = chain.at(-1);
    chain.push(below ? digestOf(new TextEncoder().encode(`${below} ${diffID}`)) : diffID);
  }
  return chain;
}
