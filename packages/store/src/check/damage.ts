import type { ByteSource, Descriptor } from "@stowage/content";

import type { ImageID } from "../image-record.ts";
import type { TreeAspect } from "../layer/compare-trees.ts";

/** What is wrong with an object of a store. */
export type DamageFault =
  | "missing"
  | "no image"
  | "no record"
  | "not a file"
  | "owner or mode"
  | "stale"
  | "unreadable"
  | "unreadable record"
  | "unremovable"
  | "wrong content"
  | "wrong size"
  | "wrong tree";

/** What became of it. */
export type DamageOutcome =
  /** Nothing was to be done about it. */
  | "found"
  /** It is as it should be now. */
  | "repaired"
  /** It has been taken out of the store, into the trash, where it stays to be looked at. */
  | "set aside"
  /** It could not be repaired, which `remark` explains. */
  | "left";

/** One damaged object. */
export interface Damage {
  readonly kind: "blob" | "container" | "image" | "index" | "layer" | "leftover" | "name";
  /** A digest, an ID, or the name of a file. */
  readonly id: string;
  readonly fault: DamageFault;
  /** The first path of a layer that is not what its archive says, one character for each byte. */
  readonly path?: string;
  /** What of that path is not. */
  readonly aspect?: TreeAspect;
  /** For people. */
  readonly message: string;
  /** Which images and containers need it. */
  readonly usedBy: readonly string[];
  readonly outcome: DamageOutcome;
  /** Why it was left, or what there is to know about the repair. */
  readonly remark?: string;
}

/** A blob that is to be got again. */
export interface WantedBlob {
  readonly descriptor: Descriptor;
  /** The images that need it. */
  readonly images: readonly ImageID[];
  /** Where those were pulled from, as `host/path`. */
  readonly repositories: readonly string[];
}

/** What repairs may use beside the store itself. */
export interface RepairSources {
  /** Opens a blob where it came from, at `offset`. Without it, nothing is fetched. */
  readonly openBlob?:
    | ((
        blob: WantedBlob,
        options: {
          readonly signal?: AbortSignal | undefined;
          readonly offset?: number | undefined;
        },
      ) => ByteSource)
    | undefined;
  /** The repository, as `host/path`, that an image's name is of. */
  readonly repositoryOf?: ((name: string) => string | undefined) | undefined;
}

/** How a store is checked. */
export interface CheckOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Reads everything: hashes each blob, and compares each layer with what its blob unpacks to.
   * Without, only what was changed since it was stored is read; bit rot is found by reading alone.
   *
   * @defaultValue false
   */
  readonly deep?: boolean | undefined;
  /** Repairs what it finds. Nothing is changed without. */
  readonly repair?: RepairSources | undefined;
  /** Is told of each damaged object as it is found, or once its repair has been tried. */
  readonly onDamage?: ((damage: Damage) => void) | undefined;
}

/** What a check came to. */
export interface CheckReport {
  readonly damages: readonly Damage[];
  readonly checked: {
    readonly blobs: number;
    /** Bytes that were read and hashed. */
    readonly hashedBytes: number;
    readonly layers: number;
    /** Of the layers, those that were compared with their blobs. */
    readonly comparedLayers: number;
    readonly images: number;
    readonly names: number;
    readonly containers: number;
  };
  /** Layers that could not be compared, and why not. */
  readonly unverified: readonly { readonly id: string; readonly reason: string }[];
}
