import { hasPeer } from "@stowage/testkit";
import { expect, test } from "vitest";

import { parseBenchArguments } from "../src/bench-arguments.ts";
import { partsReport } from "../src/parts-report.ts";

test.skipIf(!["tar", "gzip", "zstd"].every(hasPeer))(
  "parts: each way of unpacking, hashing and making files has its rate, or what it lacks",
  async () => {
    const args = parseBenchArguments(["parts", "--runs", "1", "--scale", "0.01"]);
    const { data, text } = await partsReport(args, () => {});
    const parts = data["parts"] as readonly { part: string; rate?: number; missing?: string }[];
    expect(new Set(parts.map(({ part }) => part))).toEqual(
      new Set(["gunzip", "unzstd", "sha256", "gunzip+sha256", "files"]),
    );
    for (const { rate, missing } of parts)
      expect(missing === undefined ? rate : Number.POSITIVE_INFINITY).toBeGreaterThan(0);
    expect(text.trim().split("\n")).toHaveLength(parts.length + 1);
  },
);
