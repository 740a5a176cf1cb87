import { compare } from "./compare.ts";
import { measureProcess } from "./measure-process.ts";
import type { Puller } from "./puller.ts";
import { PEERS_TO_COMPARE, stowagePuller } from "./pullers.ts";
import { layersOf } from "./real-image.ts";
import { startRequestLog } from "./request-log.ts";
import type { RowOptions, RowResult } from "./rows.ts";
import { BUILT, placeDir, setStage, writeOpenPolicy } from "./stage.ts";
import { summarize } from "./summarize.ts";

/**
 * A pull of an image that is here already, against `podman`.
 *
 * @throws Error if ours asks the registry for more than one manifest, beside whether it is one.
 */
export async function benchHere({ pairs, main = BUILT }: RowOptions): Promise<RowResult> {
  const peer = PEERS_TO_COMPARE["podman"];
  if (peer === undefined) throw new Error("no podman");
  await using stage = await setStage(layersOf("tiny", 1), "gzip", main);
  await using folder = await placeDir("tmpfs");
  const policy = await writeOpenPolicy(folder.path);
  await using ours = await stowagePuller(main)(folder.path, policy);
  await using theirs = await peer.create(folder.path, policy);
  for (const puller of [ours, theirs]) {
    await puller.reset();
    await measureProcess(puller.pull(stage.reference));
  }
  const compared = await compare({
    pairs,
    ours: async () => ours.pull(stage.reference),
    theirs: async () => theirs.pull(stage.reference),
  });
  const our = await requestsOfSecondPull(ours, stage.reference);
  const their = await requestsOfSecondPull(theirs, stage.reference);
  requireOneManifest(our);
  const about = { row: "here", peer: "podman", place: "tmpfs", target: 1 } as const;
  const note = `ours asks: ${our.join(", ")}; theirs: ${their.join(", ")}`;
  return { ...summarize(about, compared), note };
}

/** What the registry is asked when an image is pulled that is here since just before. */
async function requestsOfSecondPull(puller: Puller, reference: string): Promise<readonly string[]> {
  const [host = "", ...path] = reference.split("/");
  await using log = await startRequestLog(host);
  const logged = [log.host, ...path].join("/");
  await measureProcess(puller.pull(logged));
  log.take();
  await measureProcess(puller.pull(logged));
  return log.take();
}

/** @throws Error naming the requests unless one is for a manifest, and the others ask for nothing. */
export function requireOneManifest(requests: readonly string[]): void {
  const more = requests.filter((request) => request !== "GET /v2/");
  if (more.length === 1 && / \/v2\/[^?]+\/manifests\//.test(more[0] ?? "")) return;
  throw new Error(`what is here already took ${requests.length} requests: ${requests.join(", ")}`);
}
