import type { RowResult } from "./rows.ts";

const HEAD = ["row", "peer", "place", "ratio", "target", "CPU", "ours", "theirs", "MB", "theirs"];

/** Rows as a table: ratios as median (least–most), wall time in milliseconds, peaks in 10^6 bytes. */
export function formatTable(results: readonly RowResult[]): string {
  const lines = [HEAD, ...results.map(cellsOf)];
  const widths = HEAD.map((_, at) => Math.max(...lines.map((cells) => cells[at]?.length ?? 0)));
  const table = lines.map((cells) =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const failures = results.flatMap(({ row, peer, failure }) =>
    failure === undefined ? [] : [`${row}, ${peer ?? ""}: ${failure.trim().slice(0, 500)}`],
  );
  return [...table, ...failures].join("\n");
}

function cellsOf(result: RowResult): readonly string[] {
  const { row, peer = "", place = "", target, ratio, ratioMin, ratioMax, failure } = result;
  if (failure !== undefined) return [row, peer, place, "failed", target.toFixed(2)];
  const range = ratioMin === undefined ? "" : ` (${ratioMin.toFixed(2)}–${ratioMax?.toFixed(2)})`;
  return [
    row,
    peer,
    place,
    `${ratio.toFixed(2)}${range}`,
    `${target.toFixed(2)} ${ratio <= target ? "met" : "missed"}`,
    result.cpuRatio?.toFixed(2) ?? "",
    result.oursMs.toFixed(0),
    result.theirsMs.toFixed(0),
    (result.oursPeakBytes / 1e6).toFixed(0),
    (result.theirsPeakBytes / 1e6).toFixed(0),
  ];
}
