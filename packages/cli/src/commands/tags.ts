import { formatRepository, parseReference } from "@stowage/reference";

import type { RunCommand } from "../command.ts";
import { refuseTransport } from "../image-argument.ts";
import { runtimeOptions } from "../open-runtime.ts";
import { readSourceFlags } from "../source-flags.ts";
import { UsageError } from "../usage-error.ts";

export const tags: RunCommand = async (context, { args: [text = ""], flags }) => {
  refuseTransport(text, "tags takes a repository of a registry");
  const { repository, tag, digest } = parseReference(text);
  if (tag !== undefined || digest !== undefined) {
    throw new UsageError("tags takes a repository, without a tag or digest");
  }
  const { listTags } = await import("@stowage/runtime-shim");
  const found: string[] = [];
  const name = formatRepository(repository);
  const options = {
    ...(await runtimeOptions(context)),
    ...(await readSourceFlags(context, flags)),
  };
  for await (const one of listTags(name, options)) found.push(one);
  context.print({ repository: name, tags: found }, found.join("\n"));
};
