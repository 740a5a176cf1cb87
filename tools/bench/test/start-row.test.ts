import { hasPeer } from "@stowage/testkit";
import { expect, test } from "vitest";

import { benchStart } from "../src/start-row.ts";
import { SOURCE_MAIN } from "./support/source-main.ts";

const NEEDED = ["docker-registry", "tar", "gzip"];
const CAN_RUN = process.getuid?.() === 0 && NEEDED.every(hasPeer);

test.skipIf(!CAN_RUN)(
  "start: containers of 50 layers are started, and made and started",
  async () => {
    const options = { size: 1, layers: 1, pairs: 1, scale: 0.01, main: SOURCE_MAIN };
    const [start, both, ...others] = await benchStart(options);
    expect(others).toEqual([]);
    expect(start).toMatchObject({ row: "start", theirsMs: 5, image: { layers: 50 } });
    expect(both).toMatchObject({ row: "create+start", theirsMs: 5 });
    expect(start?.oursMs).toBeGreaterThan(0);
    expect(both?.oursMs).toBeGreaterThan(start?.oursMs ?? 0);
  },
);
