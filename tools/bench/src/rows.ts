import { benchCopy } from "./copy-row.ts";

/** How large a row's stage is. */
export interface RowOptions {
  /** Of the image, in megabytes (10^6 bytes). */
  readonly size: number;
  readonly layers: number;
  readonly pairs: number;
  /** Node's arguments for the command line. @defaultValue as it was built */
  readonly main?: readonly string[];
}

/** What a row found, and whether that is good enough. */
export interface RowResult {
  readonly row: string;
  readonly ratio: number;
  readonly target: number;
  /** Medians. */
  readonly oursMs: number;
  readonly theirsMs: number;
  /** The most of all runs. */
  readonly oursPeakBytes: number;
  readonly theirsPeakBytes: number;
}

/** Sets its stage up, measures, and clears up. */
export type Row = (options: RowOptions) => Promise<RowResult>;

export const ROWS: Readonly<Record<string, Row>> = {
  copy: benchCopy,
};

export const DEFAULT_ROW_OPTIONS: RowOptions = { size: 500, layers: 7, pairs: 5 };
