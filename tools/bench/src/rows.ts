import { benchCopy } from "./copy-row.ts";
import { benchHere } from "./here-row.ts";
import type { ProgramWords } from "./measure-process.ts";
import type { ImageFacts } from "./image-layout.ts";
import { benchList } from "./list-row.ts";
import { benchMemory } from "./memory-row.ts";
import { benchPull } from "./pull-row.ts";
import { benchStart } from "./start-row.ts";
import { benchVersion } from "./version-row.ts";

/** How large a row's stage is. */
export interface RowOptions {
  /** Of the image, in megabytes (10^6 bytes). */
  readonly size: number;
  readonly layers: number;
  readonly pairs: number;
  /** Which part of the full number of files images have. @defaultValue 1 */
  readonly scale?: number;
  /** Those to be compared with. @defaultValue those that are installed */
  readonly peers?: readonly string[];
  /** Where stores lie. @defaultValue both */
  readonly places?: readonly Place[];
  /** Whether the kernel's cache of files is emptied before each pull, too. @defaultValue false */
  readonly dropsCache?: boolean;
  /** The command line. @defaultValue as it was built */
  readonly main?: ProgramWords;
}

/** What stores lie on. */
export type Place = "disk" | "tmpfs";

/** What a row found, and whether that is good enough. */
export interface RowResult {
  readonly row: string;
  /** Who it was compared with, and where, if there are several. */
  readonly peer?: string;
  readonly place?: Place;
  readonly ratio: number;
  readonly ratioMin?: number;
  readonly ratioMax?: number;
  readonly target: number;
  /** Medians. */
  readonly oursMs: number;
  readonly theirsMs: number;
  /** The least and the most. */
  readonly oursRange?: readonly [number, number];
  readonly theirsRange?: readonly [number, number];
  readonly oursCpuMs?: number;
  readonly theirsCpuMs?: number;
  /** The median of the pairs. */
  readonly cpuRatio?: number;
  readonly cpuTarget?: number;
  /** The most of all runs. */
  readonly oursPeakBytes: number;
  readonly theirsPeakBytes: number;
  /** What was pulled. */
  readonly image?: ImageFacts;
  /** How the peer was set, where that is not by default. */
  readonly setting?: string;
  /** What else was seen. */
  readonly note?: string;
  /** Why there are no figures. */
  readonly failure?: string;
}

/** Sets its stage up, measures, and clears up. */
export type Row = (options: RowOptions) => Promise<RowResult | readonly RowResult[]>;

export const ROWS: Readonly<Record<string, Row>> = {
  copy: benchCopy,
  "small-files": (options) => benchPull("small-files", options),
  usr: (options) => benchPull("usr", options),
  "usr-zstd": (options) => benchPull("usr-zstd", options),
  tiny: (options) => benchPull("tiny", options),
  "layers-1": (options) => benchPull("layers-1", options),
  "layers-50": (options) => benchPull("layers-50", options),
  "layers-500": (options) => benchPull("layers-500", options),
  here: benchHere,
  version: benchVersion,
  list: benchList,
  start: benchStart,
  memory: benchMemory,
};

export const DEFAULT_ROW_OPTIONS: RowOptions = { size: 500, layers: 7, pairs: 5 };
