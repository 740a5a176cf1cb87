import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { readCount, readDuration, readSize } from "../quantity.ts";
import { renderTable } from "../table.ts";
import { renderCollected } from "./gc.ts";

export const prune: RunCommand = async (context, { flags }) => {
  const options = {
    dryRun: flags["dryRun"] === true,
    unusedForMs: readDuration(flags["unusedFor"], "--unused-for"),
    olderThanMs: readDuration(flags["olderThan"], "--older-than"),
    keepTags: readCount(flags["keepTags"], "--keep-tags"),
    keepBytes: readSize(flags["keepBytes"], "--keep-bytes"),
    signal: context.signal,
  };
  await using runtime = await openRuntime(context);
  const report = await runtime.images.prune(options);
  const rows = report.items.flatMap(({ kind, id, names, action, reason }) =>
    report.dryRun || action === "remove"
      ? [[report.dryRun ? action : "removed", kind, names.join(",") || id, reason]]
      : [],
  );
  const collected = renderCollected(report.garbage);
  context.print(report, rows.length === 0 ? collected : `${renderTable(rows)}\n${collected}`);
};
