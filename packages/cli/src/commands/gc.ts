import type { CollectReport } from "@stowage/runtime-shim";

import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { readDuration } from "../quantity.ts";
import { formatSize, renderTable } from "../table.ts";

export const gc: RunCommand = async (context, { flags }) => {
  const { dryRun, maxIngestAge } = flags;
  const maxIngestAgeMs = readDuration(maxIngestAge, "--max-ingest-age");
  await using runtime = await openRuntime(context);
  const { signal } = context;
  const how = { dryRun: dryRun === true, maxIngestAgeMs, signal };
  const report = await runtime.store.collectGarbage(how);
  context.print(report, renderCollected(report));
};

/** What went, with what it gave back; in a dry run, also what stays and why. */
export function renderCollected({ dryRun, items, removedBytes }: CollectReport): string {
  const shown = items.filter(({ action }) => dryRun || action === "remove");
  const rows = shown.map(({ action, kind, id, bytes, reason }) => [
    dryRun ? action : "removed",
    kind,
    id,
    formatSize(bytes),
    reason,
  ]);
  const sum = `${dryRun ? "would free" : "freed"} ${formatSize(removedBytes)}`;
  return rows.length === 0 ? sum : `${renderTable(rows)}\n${sum}`;
}
