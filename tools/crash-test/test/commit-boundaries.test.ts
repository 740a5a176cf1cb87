import { expect, test } from "vitest";

import { type Boundary, boundaryOf } from "../src/commit-boundaries.ts";
import { stepsOf } from "../src/crash-at-step.ts";
import { type CrashWorld, openCrashWorld } from "../src/crash-world.ts";
import { SCENARIOS } from "../src/scenarios.ts";
import { WHAT_STEPPING_NEEDS } from "../src/step-tracer.ts";

const LACKING = process.getuid?.() === 0 ? WHAT_STEPPING_NEEDS : "root";
const NEEDS = LACKING === "" ? "" : ` (needs ${LACKING})`;

test.skipIf(NEEDS !== "")(
  `R20: a pull makes everything durable before what refers to it, and a removal goes the other way${NEEDS}`,
  async () => {
    await using world = await openCrashWorld();
    const pull = await boundariesOf(world, "pull");
    const first = (name: Boundary) => pull.indexOf(name);
    const last = (name: Boundary) => pull.lastIndexOf(name);
    const inOrder = [
      [first("blob.write"), first("blob.fsync"), first("blob.rename"), first("blob.dirsync")],
      [first("layer.unpack"), first("layer.record"), first("layer.syncfs"), first("layer.rename")],
      [last("blob.rename"), last("blob.dirsync"), first("image.record"), last("image.dirsync")],
      [last("layer.rename"), last("layer.dirsync"), first("image.record"), first("tag.record")],
      [last("image.dirsync"), first("tag.record"), last("tag.dirsync")],
    ];
    for (const places of inOrder) {
      expect(places).not.toContain(-1);
      expect(places).toEqual(places.toSorted((one, other) => one - other));
    }
    for (const [at, name] of pull.entries()) {
      if (name !== "layer.rename") continue;
      const before = pull.slice(0, at);
      const count = (wanted: Boundary) => before.filter((other) => other === wanted).length;
      expect(count("layer.syncfs")).toBeGreaterThan(count("layer.rename"));
    }
    const removal = await boundariesOf(world, "rmi");
    expect(removal.indexOf("gc.trash")).toBeLessThan(removal.indexOf("image.dirsync"));
    expect(removal.indexOf("image.dirsync")).toBeLessThan(removal.indexOf("tag.dirsync"));
    expect(removal.lastIndexOf("blob.dirsync")).toBeLessThan(removal.indexOf("gc.delete"));
  },
  120_000,
);

async function boundariesOf(world: CrashWorld, command: string): Promise<readonly Boundary[]> {
  const scenario = SCENARIOS.find(({ name }) => name === command);
  const steps = await stepsOf(world, scenario ?? expect.fail(`no command ${command}`));
  return steps.flatMap((step) => boundaryOf(step, world.place.root) ?? []);
}
