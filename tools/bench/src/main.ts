import { parseArgs } from "node:util";

import { DEFAULT_ROW_OPTIONS, type RowResult, ROWS } from "./rows.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: "string" },
    layers: { type: "string" },
    pairs: { type: "string" },
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
  pairs: number(values.pairs, DEFAULT_ROW_OPTIONS.pairs),
};
const results: RowResult[] = [];
for (const name of positionals.length > 0 ? positionals : Object.keys(ROWS)) {
  const row = ROWS[name];
  if (row === undefined)
    throw new Error(`no row ${name}; there are ${Object.keys(ROWS).join(", ")}`);
  const result = await row(options);
  results.push(result);
  if (!values.json) process.stdout.write(`${describe(result)}\n`);
}
if (values.json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
process.exitCode = results.every(({ ratio, target }) => ratio <= target) ? 0 : 1;

function describe(result: RowResult): string {
  const { row, ratio, target, oursMs, theirsMs, oursPeakBytes, theirsPeakBytes } = result;
  const verdict = ratio <= target ? "met" : "missed";
  return [
    `${row}: ${ratio.toFixed(2)} times theirs (target ${target}, ${verdict})`,
    `  ours ${oursMs.toFixed(0)} ms, ${(oursPeakBytes / 1e6).toFixed(0)} MB`,
    `  theirs ${theirsMs.toFixed(0)} ms, ${(theirsPeakBytes / 1e6).toFixed(0)} MB`,
  ].join("\n");
}
