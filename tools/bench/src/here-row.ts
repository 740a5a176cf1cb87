import { compare } from "./compare.ts";
import { measureProcess } from "./measure-process.ts";
import { PEER_PULLERS, stowagePuller } from "./pullers.ts";
import { summarize } from "./pull-row.ts";
import { layersOf } from "./real-image.ts";
import type { RowOptions, RowResult } from "./rows.ts";
import { BUILT, placeDir, setStage, writeOpenPolicy } from "./stage.ts";

/** A pull of an image that is here already, against `podman`. */
export async function benchHere({ pairs, main = BUILT }: RowOptions): Promise<RowResult> {
  await using stage = await setStage(layersOf("tiny", 1), "gzip", main);
  await using folder = await placeDir("tmpfs");
  const policy = await writeOpenPolicy(folder.path);
  const { podman } = PEER_PULLERS;
  if (podman === undefined) throw new Error("no podman");
  await using ours = stowagePuller(main)(folder.path, policy);
  await using theirs = podman(folder.path, policy);
  for (const puller of [ours, theirs]) {
    await puller.reset();
    await measureProcess(puller.pull(stage.reference));
  }
  const compared = await compare({
    pairs,
    ours: async () => ours.pull(stage.reference),
    theirs: async () => theirs.pull(stage.reference),
  });
  return summarize({ row: "here", peer: "podman", place: "tmpfs", target: 1 }, compared);
}
