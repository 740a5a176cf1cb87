import type { BlobStore } from "../blob-store.ts";
import type { LayerStore } from "../layer-store.ts";
import type { Lease, LeaseOptions } from "../lease.ts";
import type { StoreContext } from "../store-context.ts";
import type { CheckOptions, CheckReport, Damage, RepairSources } from "./damage.ts";
import type { TreeComparer } from "./tree-comparer.ts";

/** Whatever a check has in hand while it runs. */
export interface CheckRun {
  readonly context: StoreContext;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly comparer: TreeComparer;
  readonly signal: AbortSignal | undefined;
  readonly deep: boolean;
  readonly repair: RepairSources | undefined;
  readonly counts: { -readonly [Count in keyof CheckReport["checked"]]: number };
  readonly unverified: { readonly id: string; readonly reason: string }[];
  readonly damages: Damage[];
  /** Keeps content while it is being repaired. */
  lease(options: LeaseOptions): Promise<Lease>;
  /**
   * Reports something damaged, having tried to repair it where that is asked for.
   *
   * @param mend - Resolves to what became of it.
   * @returns Whether it is repaired.
   */
  report(found: FoundDamage, mend: () => Promise<Mended>): Promise<boolean>;
}

/** A damage before anything is done about it. */
export type FoundDamage = Omit<Damage, "outcome" | "remark">;

/** What became of a damage. */
export type Mended = Pick<Damage, "outcome" | "remark">;

export function createCheckRun(
  parts: Pick<CheckRun, "blobs" | "comparer" | "context" | "layers" | "lease">,
  options: CheckOptions,
): CheckRun {
  const { signal, deep = false, repair, onDamage } = options;
  const damages: Damage[] = [];
  return {
    ...parts,
    signal,
    deep,
    repair,
    counts: {
      blobs: 0,
      hashedBytes: 0,
      layers: 0,
      comparedLayers: 0,
      images: 0,
      names: 0,
      containers: 0,
    },
    unverified: [],
    damages,
    async report(found, mend) {
      signal?.throwIfAborted();
      const damage = { ...found, ...(await (repair ? tryMend(mend, signal) : FOUND)) };
      damages.push(damage);
      onDamage?.(damage);
      return damage.outcome === "repaired";
    },
  };
}

const FOUND: Mended = { outcome: "found" };

async function tryMend(
  mend: () => Promise<Mended>,
  signal: AbortSignal | undefined,
): Promise<Mended> {
  try {
    return await mend();
  } catch (error) {
    signal?.throwIfAborted();
    return { outcome: "left", remark: error instanceof Error ? error.message : String(error) };
  }
}
