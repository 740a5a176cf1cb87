import { createHash } from "node:crypto";

import type { PartWay } from "./parts-report.ts";
import { piecesOf, type Sample } from "./parts-sample.ts";

const CHUNKS = [16, 64, 1024];

/** SHA-256 of an archive, as it is cut. */
export function hashParts({ tar }: Sample): readonly PartWay[] {
  return CHUNKS.map((kib) => ({
    part: "sha256",
    way: `node:crypto, ${kib} KiB chunks`,
    unit: "MB/s",
    async run() {
      const hash = createHash("sha256");
      for (const piece of piecesOf(tar, kib * 1024)) hash.update(piece);
      hash.digest();
      return tar.length;
    },
  }));
}
