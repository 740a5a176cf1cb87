import { parsePlatform } from "@stowage/content";

import type { RunCommand } from "../command.ts";
import { checkPullReference } from "../image-argument.ts";
import { openRuntime } from "../open-runtime.ts";
import { createProgressView } from "../progress.ts";
import { readNamespaceFlag, readSourceFlags } from "../source-flags.ts";

export const pull: RunCommand = async (context, { args, flags }) => {
  const reference = checkPullReference(args[0] ?? "");
  context.at(reference);
  const { platform: wanted } = flags;
  const platform = typeof wanted === "string" ? parsePlatform(wanted) : undefined;
  await using runtime = await openRuntime(context, {
    ...(await readSourceFlags(context, flags)),
    ...readNamespaceFlag(flags),
  });
  using progress = await createProgressView(context);
  const { onProgress } = progress;
  const pulled = await runtime.images.pull(reference, {
    platform,
    reuse: flags["whole"] !== true,
    requireTagMatch: flags["requireTagMatch"] === true,
    onProgress,
    signal: context.signal,
  });
  context.print(pulled, pulled.canonical);
};
