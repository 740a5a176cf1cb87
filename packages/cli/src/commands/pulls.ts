import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { formatSize, renderTable, shortId } from "../table.ts";

export const pulls: RunCommand = async (context) => {
  await using runtime = await openRuntime(context);
  const found = await runtime.images.listPullsInFlight({ signal: context.signal });
  const rows = found.map(({ name, digest, pid, since, received, size }) => [
    name,
    shortId(digest),
    String(pid),
    since,
    formatSize(received),
    formatSize(size),
  ]);
  context.print(
    found,
    renderTable([["NAME", "MANIFEST", "PROCESS", "SINCE", "RECEIVED", "SIZE"], ...rows]),
  );
};
