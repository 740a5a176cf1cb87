import { loadavg } from "node:os";
import { parseArgs } from "node:util";

import { formatTable } from "./result-table.ts";
import { DEFAULT_ROW_OPTIONS, type Place, type RowResult, ROWS } from "./rows.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: "string" },
    layers: { type: "string" },
    pairs: { type: "string" },
    runs: { type: "string" },
    scale: { type: "string" },
    peers: { type: "string" },
    places: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

const number = (text: string | undefined, usual: number): number => {
  const value = text === undefined ? usual : Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${text} is no number over 0`);
  return value;
};
const options = {
  size: number(values.size, DEFAULT_ROW_OPTIONS.size),
  layers: number(values.layers, DEFAULT_ROW_OPTIONS.layers),
  pairs: number(values.runs ?? values.pairs, DEFAULT_ROW_OPTIONS.pairs),
  scale: number(values.scale, 1),
  ...(values.peers !== undefined && { peers: values.peers.split(",") }),
  ...(values.places !== undefined && { places: values.places.split(",").map(place) }),
};
const results: RowResult[] = [];
for (const name of positionals.length > 0 ? positionals : Object.keys(ROWS)) {
  const row = ROWS[name];
  if (row === undefined)
    throw new Error(`no row ${name}; there are ${Object.keys(ROWS).join(", ")}`);
  const found = [await row(options)].flat();
  results.push(...found);
  if (!values.json) process.stdout.write(`${formatTable(found)}\n`);
}
const load = loadavg().map((value) => value.toFixed(1));
if (values.json) process.stdout.write(`${JSON.stringify({ load, results }, null, 2)}\n`);
else process.stdout.write(`load of the machine: ${load.join(", ")}\n`);
process.exitCode = results.every(({ ratio, target }) => ratio <= target) ? 0 : 1;

function place(text: string): Place {
  if (text === "disk" || text === "tmpfs") return text;
  throw new Error(`${text} is no place; there are disk and tmpfs`);
}
