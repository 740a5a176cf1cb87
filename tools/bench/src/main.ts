import { mkdir, writeFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { delimiter, dirname, join } from "node:path";

import { type BenchArguments, parseBenchArguments } from "./bench-arguments.ts";
import { growthReport } from "./growth-report.ts";
import { partsReport } from "./parts-report.ts";
import { installedPeers, missingFor, PEERS_TO_COMPARE } from "./pullers.ts";
import type { Report } from "./report.ts";
import { formatTable } from "./result-table.ts";
import { type RowResult, ROWS } from "./rows.ts";
import { isMet } from "./summarize.ts";

// The command line takes the Node of the path.
process.env["PATH"] = [dirname(process.execPath), process.env["PATH"]].join(delimiter);

const parsed = parseBenchArguments(process.argv.slice(2));
const tell = (text: string): void => {
  if (!parsed.json) process.stdout.write(text);
};
const reports = { growth: growthReport, parts: partsReport, rows: rowsReport };
const report = await reports[parsed.what](parsed, tell);
const load = loadavg().map((value) => value.toFixed(1));
const json = `${JSON.stringify({ load, ...report.data }, null, 2)}\n`;
if (parsed.json) process.stdout.write(json);
else process.stdout.write(`load of the machine: ${load.join(", ")}\n`);
if (parsed.out !== undefined) {
  await mkdir(parsed.out, { recursive: true });
  const files = {
    [`${parsed.what}.json`]: json,
    [`${parsed.what}.txt`]: report.text,
    ...report.files,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(parsed.out, name), text);
}
process.exitCode = report.isGood ? 0 : 1;

async function rowsReport(
  { names, options }: BenchArguments,
  tellNow: (text: string) => void,
): Promise<Report> {
  const results: RowResult[] = [];
  const texts: string[] = [];
  const say = (text: string): void => {
    texts.push(text);
    tellNow(text);
  };
  const absent = Object.keys(PEERS_TO_COMPARE).filter((name) => !installedPeers().includes(name));
  for (const name of options.peers === undefined ? absent : []) {
    say(`${name} is left out: ${missingFor(name).join(", ")} is not installed\n`);
  }
  for (const name of names) {
    const found = [(await ROWS[name]?.(options)) ?? []].flat();
    results.push(...found);
    say(`${formatTable(found)}\n`);
  }
  return { data: { results, absent }, text: texts.join(""), isGood: results.every(isMet) };
}
