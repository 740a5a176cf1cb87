import { resolve } from "node:path";
import { parseArgs } from "node:util";

import { DEFAULT_ROW_OPTIONS, type Place, type RowOptions, ROWS } from "./rows.ts";

/** What the bench is asked for. */
export interface BenchArguments {
  readonly what: "growth" | "parts" | "rows";
  /** Of rows or, for growth, of curves; all of them unless told. */
  readonly names: readonly string[];
  readonly options: RowOptions;
  readonly json: boolean;
  /** A folder for the results. */
  readonly out: string | undefined;
}

/** @throws Error for what is no number, no place or no row. */
export function parseBenchArguments(args: readonly string[]): BenchArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      size: { type: "string" },
      layers: { type: "string" },
      pairs: { type: "string" },
      runs: { type: "string" },
      scale: { type: "string" },
      peers: { type: "string" },
      places: { type: "string" },
      cold: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      out: { type: "string" },
    },
  });
  const [first = "", ...rest] = positionals;
  const what = first === "growth" || first === "parts" ? first : "rows";
  const names = what === "rows" ? positionals : rest;
  const unknown = what === "rows" ? names.find((name) => ROWS[name] === undefined) : undefined;
  if (unknown !== undefined) {
    const known = [...Object.keys(ROWS), "growth", "parts"].join(", ");
    throw new Error(`no row ${unknown}; there are ${known}`);
  }
  return {
    what,
    names: what === "rows" && names.length === 0 ? Object.keys(ROWS) : names,
    options: {
      size: numberOf(values.size, DEFAULT_ROW_OPTIONS.size),
      layers: numberOf(values.layers, DEFAULT_ROW_OPTIONS.layers),
      pairs: numberOf(values.runs ?? values.pairs, DEFAULT_ROW_OPTIONS.pairs),
      scale: numberOf(values.scale, 1),
      dropsCache: values.cold,
      ...(values.peers !== undefined && { peers: values.peers.split(",") }),
      ...(values.places !== undefined && { places: values.places.split(",").map(placeOf) }),
    },
    json: values.json,
    // The package manager calls from this package's folder, and says where it was called itself.
    out: values.out && resolve(process.env["INIT_CWD"] ?? ".", values.out),
  };
}

function numberOf(text: string | undefined, usual: number): number {
  const value = text === undefined ? usual : Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${text} is no number over 0`);
  return value;
}

function placeOf(text: string): Place {
  if (text === "disk" || text === "tmpfs") return text;
  throw new Error(`${text} is no place; there are disk and tmpfs`);
}
