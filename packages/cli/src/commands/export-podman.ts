import { resolve } from "node:path";

import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { UsageError } from "../usage-error.ts";

export const exportPodman: RunCommand = async (
  context,
  { args: [given = "", ...names], flags },
) => {
  const isRemoval = flags["remove"] === true;
  if (isRemoval && names.length > 0) throw new UsageError("--remove takes no images");
  if (given === "") throw new UsageError("the directory is empty");
  const directory = resolve(given);
  const { signal } = context;
  await using runtime = await openRuntime(context);
  if (isRemoval) {
    const removed = await runtime.store.removePodmanExport(directory, { signal });
    context.print(removed, removed.directory);
    return;
  }
  const found = await Promise.all(
    names.map((name) => runtime.images.requireImage(name, { signal })),
  );
  const images = names.length > 0 ? found.map(({ id }) => id) : undefined;
  const exported = await runtime.store.exportPodman(directory, { images, signal });
  context.print(exported, exported.directory);
};
