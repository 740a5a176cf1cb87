import { compare, type Compared } from "./compare.ts";
import type { ProgramWords } from "./measure-process.ts";
import { countEntries, type Peer, type Puller } from "./puller.ts";
import { installedPeers, missingFor, PEERS_TO_COMPARE, stowagePuller } from "./pullers.ts";
import { type ImageKind, layersOf } from "./real-image.ts";
import type { Place, RowOptions, RowResult } from "./rows.ts";
import { BUILT, placeDir, setStage, settle, writeOpenPolicy } from "./stage.ts";
import { failed, summarize } from "./summarize.ts";

const PLACES: readonly Place[] = ["tmpfs", "disk"];

/** A cold pull, until the image can be mounted, against each peer in each place. */
export async function benchPull(
  kind: ImageKind,
  options: RowOptions,
): Promise<readonly RowResult[]> {
  const { main = BUILT, scale = 1, peers = installedPeers(), places = PLACES } = options;
  const compression = kind.endsWith("-zstd") ? "zstd" : "gzip";
  await using stage = await setStage(layersOf(kind, scale), compression, main);
  const { reference, image } = stage;
  const results: RowResult[] = [];
  for (const place of places) {
    for (const name of peers) {
      const about = { row: kind, peer: name, place, image, ...targetsOf(kind, name, place) };
      try {
        const peer = requirePeerOf(name);
        if (peer.places?.includes(place) === false) continue;
        const setting = await peer.setting?.();
        const compared = await comparePulls({ ...options, main, reference, peer, place });
        results.push({ ...summarize(about, compared), ...(setting !== undefined && { setting }) });
      } catch (error) {
        results.push(failed(about, error));
      }
    }
  }
  return results;
}

interface PullComparison {
  readonly reference: string;
  readonly peer: Peer;
  readonly place: Place;
  readonly pairs: number;
  readonly main: ProgramWords;
  readonly dropsCache?: boolean;
}

/** The stores of both are gone before each run, and what either left to be written is written. */
async function comparePulls(comparison: PullComparison): Promise<Compared> {
  const { reference, peer, place, pairs, main, dropsCache = false } = comparison;
  await using folder = await placeDir(place);
  const policy = await writeOpenPolicy(folder.path);
  await using ours = await stowagePuller(main)(folder.path, policy);
  await using theirs = await peer.create(folder.path, policy);
  const entries = new Map<Puller, number>();
  let running = ours;
  const prepare = async (puller: Puller) => {
    running = puller;
    await (puller === ours ? theirs : ours).clear();
    await puller.reset();
    await settle(folder.path, dropsCache);
    return puller.pull(reference);
  };
  return await compare({
    pairs,
    ours: () => prepare(ours),
    theirs: () => prepare(theirs),
    async check() {
      // Once each, in the runs that do not count.
      if (entries.has(running)) return;
      entries.set(running, await running.withRoot(reference, countEntries));
      requireSame([...entries.values()]);
    },
  });
}

function requireSame(counts: readonly number[]): void {
  const [our = 0, their = our] = counts;
  if (our === their && our > 0) return;
  throw new Error(`what we pulled has ${our} entries, what they pulled has ${their}`);
}

function requirePeerOf(name: string): Peer {
  const peer = PEERS_TO_COMPARE[name];
  if (peer === undefined) {
    throw new Error(`no peer ${name}; there are ${Object.keys(PEERS_TO_COMPARE).join(", ")}`);
  }
  const missing = missingFor(name);
  if (missing.length > 0) throw new Error(`${missing.join(", ")} is not installed`);
  return peer;
}

/** The part of a peer's time, and of its processor time, that a row may take. */
function targetsOf(
  kind: ImageKind,
  peer: string,
  place: Place,
): Pick<RowResult, "cpuTarget" | "target"> {
  const isLarge = kind === "small-files" || kind.startsWith("usr");
  if (!isLarge) return { target: 1 };
  const isContainerd = peer.startsWith("containerd");
  const cpu = isContainerd && !kind.endsWith("-zstd") ? { cpuTarget: 1 / 3 } : {};
  if (place === "disk") return { target: 1 / 2, ...cpu };
  if (kind === "usr-zstd") return { target: 1 / 3 };
  return { target: isContainerd ? 1 / 4 : 1 / 5, ...cpu };
}
