import type { MeasuredCurve } from "./growth-report.ts";

const PANEL = { width: 300, height: 230 };
const AREA = { left: 52, top: 44, width: 225, height: 140 };
const COLUMNS = 3;

// No variables: programs that turn an SVG into a picture know none.
const STYLE = `
text { font: 10px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 12px; font-weight: 600; }
.grid { stroke: #d1d9e0; }
.linear { stroke: #59636e; stroke-dasharray: 3 3; }
.range, .curve { stroke: #0969da; stroke-width: 2; fill: none; }
.point { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .grid { stroke: #3d444d; }
  .linear { stroke: #9198a1; }
  .range, .curve { stroke: #4493f8; }
  .point { fill: #4493f8; }
}
`;

/**
 * Curves as an SVG, a panel each: wall time over size, both on logarithmic scales, with the least
 * and the most of each point. A dashed line leaves the largest point as linear growth would reach it.
 */
export function plotGrowth(curves: readonly MeasuredCurve[]): string {
  const columns = Math.max(1, Math.min(COLUMNS, curves.length));
  const width = columns * PANEL.width;
  const height = Math.max(1, Math.ceil(curves.length / columns)) * PANEL.height;
  const panels = curves.map((curve, at) => {
    const [x, y] = [(at % columns) * PANEL.width, Math.floor(at / columns) * PANEL.height];
    return `<g transform="translate(${x} ${y})">\n${panelOf(curve)}\n</g>`;
  });
  const size = `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`;
  const open = `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">`;
  return [open, `<style>${STYLE}</style>`, ...panels, "</svg>", ""].join("\n");
}

function panelOf({ title, unit, points, verdict }: MeasuredCurve): string {
  const xs = decadesOf(points.map(({ size }) => size));
  const ys = decadesOf(points.flatMap(({ least, most }) => [least, most]));
  const x = (size: number): string => place(size, xs, AREA.left, AREA.width);
  const y = (time: number): string => place(time, ys, AREA.top + AREA.height, -AREA.height);
  const [left, right] = [AREA.left, AREA.left + AREA.width];
  const [top, bottom] = [AREA.top, AREA.top + AREA.height];
  const path = points.map(({ size, milliseconds }) => `${x(size)},${y(milliseconds)}`).join(" ");
  return [
    `<text class="title" x="${left}" y="16">${escape(title)}</text>`,
    `<text x="${left}" y="32">${escape(verdict)}</text>`,
    ...xs.map((decade) => {
      const at = x(decade);
      const line = `<line class="grid" x1="${at}" y1="${top}" x2="${at}" y2="${bottom}"/>`;
      const label = decade.toLocaleString("en", { notation: "compact" });
      return `${line}<text x="${at}" y="${bottom + 14}" text-anchor="middle">${label}</text>`;
    }),
    ...ys.map((decade) => {
      const at = y(decade);
      const line = `<line class="grid" x1="${left}" y1="${at}" x2="${right}" y2="${at}"/>`;
      const label = formatTime(decade);
      return `${line}<text x="${left - 5}" y="${at}" dy="3" text-anchor="end">${label}</text>`;
    }),
    `<text x="${left + AREA.width / 2}" y="${bottom + 30}" text-anchor="middle">${escape(unit)}</text>`,
    linearLine(points, ys, x, y),
    ...points.map(({ size, least, most }) => {
      const at = x(size);
      return `<line class="range" x1="${at}" y1="${y(least)}" x2="${at}" y2="${y(most)}"/>`;
    }),
    `<polyline class="curve" points="${path}"/>`,
    ...points.map(({ size, milliseconds }) => {
      const told = `${size.toLocaleString("en")}: ${milliseconds.toFixed(0)} ms`;
      const at = `cx="${x(size)}" cy="${y(milliseconds)}"`;
      return `<circle class="point" ${at} r="3"><title>${told}</title></circle>`;
    }),
  ].join("\n");
}

/** Through the largest point, back to where the smallest size or the panel ends. */
function linearLine(
  points: MeasuredCurve["points"],
  ys: readonly number[],
  x: (size: number) => string,
  y: (time: number) => string,
): string {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return "";
  const each = last.milliseconds / last.size;
  const from = Math.max(first.size, (ys[0] ?? 1) / each);
  const ends = `x1="${x(from)}" y1="${y(from * each)}" x2="${x(last.size)}" y2="${y(last.milliseconds)}"`;
  return `<line class="linear" ${ends}/>`;
}

/** Powers of ten from the one below the least to the one above the most, at least two. */
function decadesOf(values: readonly number[]): readonly number[] {
  const from = Math.floor(Math.log10(Math.min(...values)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values))));
  return Array.from({ length: to - from + 1 }, (_, at) => 10 ** (from + at));
}

function place(value: number, decades: readonly number[], from: number, length: number): string {
  const [least, most] = [Math.log10(decades[0] ?? 1), Math.log10(decades.at(-1) ?? 10)];
  return (from + (length * (Math.log10(value) - least)) / (most - least)).toFixed(1);
}

function formatTime(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${milliseconds / 1000} s`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
