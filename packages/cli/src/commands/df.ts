import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { formatSize, renderTable, shortId } from "../table.ts";

const KINDS = ["blobs", "layers", "containers", "ingest", "staging", "trash", "records"] as const;

export const df: RunCommand = async (context) => {
  await using runtime = await openRuntime(context);
  const { signal } = context;
  const usage = await runtime.store.usage({ signal });
  const names = Map.groupBy(await runtime.store.images.allNames(), ({ imageId }) => imageId);
  const images = usage.images.map(({ lastUse, ...image }) => ({
    ...image,
    names: (names.get(image.id) ?? []).map(({ name }) => name),
    lastUse: new Date(lastUse).toISOString(),
  }));
  const kinds = KINDS.map((kind) => [
    kind,
    String(usage[kind].count),
    formatSize(usage[kind].bytes),
  ]);
  const rows = images.flatMap(({ id, bytes, sharedBytes, lastUse, names: [name, ...more] }) => [
    [
      name ?? "<none>",
      shortId(id),
      formatSize(bytes),
      formatSize(sharedBytes),
      formatSize(bytes - sharedBytes),
      lastUse.slice(0, 10),
    ],
    // The room is taken once.
    ...more.map((other) => [other, shortId(id), "", "", "", ""]),
  ]);
  const kept = usage.kept.map(({ purpose, bytes, ownBytes }) => [
    purpose,
    formatSize(bytes),
    formatSize(ownBytes),
  ]);
  const heads = ["IMAGE", "ID", "SIZE", "SHARED", "UNIQUE", "LAST USE"];
  context.print(
    { ...usage, images },
    [
      renderTable([["KIND", "COUNT", "SIZE"], ...kinds, ["total", "", formatSize(usage.bytes)]]),
      `gc would free ${formatSize(usage.reclaimableBytes)}`,
      ...(rows.length === 0 ? [] : ["", renderTable([heads, ...rows])]),
      ...(kept.length === 0
        ? []
        : ["", renderTable([["KEPT FOR", "SIZE", "IN NO IMAGE"], ...kept])]),
    ].join("\n"),
  );
};
