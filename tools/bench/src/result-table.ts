import type { RowResult } from "./rows.ts";
import { isMet } from "./summarize.ts";
import { formatColumns } from "./text-columns.ts";

const HEAD = ["row", "peer", "place", "ratio", "target", "CPU", "ours", "theirs", "MB", "theirs"];

/** Rows as a table: ratios as median (least–most), wall time in milliseconds, peaks in 10^6 bytes. */
export function formatTable(results: readonly RowResult[]): string {
  return [...formatColumns([HEAD, ...results.map(cellsOf)]), ...notesOn(results)].join("\n");
}

function cellsOf(result: RowResult): readonly string[] {
  const { row, peer = "", place = "", target, ratio, ratioMin, ratioMax, failure } = result;
  if (failure !== undefined) return [row, peer, place, "failed", target.toFixed(2)];
  const range = ratioMin === undefined ? "" : ` (${ratioMin.toFixed(2)}–${ratioMax?.toFixed(2)})`;
  const cpuTarget = result.cpuTarget === undefined ? "" : `, CPU ${result.cpuTarget.toFixed(2)}`;
  return [
    row,
    peer,
    place,
    `${ratio.toFixed(2)}${range}`,
    `${target.toFixed(2)}${cpuTarget} ${isMet(result) ? "met" : "missed"}`,
    result.cpuRatio?.toFixed(2) ?? "",
    formatMs(result.oursMs),
    formatMs(result.theirsMs),
    (result.oursPeakBytes / 1e6).toFixed(0),
    (result.theirsPeakBytes / 1e6).toFixed(0),
  ];
}

function formatMs(milliseconds: number): string {
  return milliseconds.toFixed(milliseconds < 20 ? 2 : 0);
}

/** What images were made of, how peers were set, and why there are no figures. */
function notesOn(results: readonly RowResult[]): readonly string[] {
  const notes = results.flatMap(({ row, peer = "", image, setting, failure, note }) => [
    ...(image === undefined
      ? []
      : [
          `${row}: ${image.files} files, ${(image.bytes / 1e6).toFixed(0)} MB in ` +
            `${image.layers} layers, ${(image.blobBytes / 1e6).toFixed(0)} MB packed`,
        ]),
    ...(setting === undefined ? [] : [`${peer}: ${setting}`]),
    ...(note === undefined ? [] : [`${row}: ${note}`]),
    ...(failure === undefined ? [] : [`${row}, ${peer}: ${failure.trim().slice(0, 500)}`]),
  ]);
  return [...new Set(notes)];
}
