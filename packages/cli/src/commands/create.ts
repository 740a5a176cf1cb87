import { randomBytes } from "node:crypto";

import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { readProcessFlags } from "../process-flags.ts";
import { UsageError } from "../usage-error.ts";

export const create: RunCommand = async (
  context,
  { args: [imageName = "", ...command], flags },
) => {
  const { pod, name } = flags;
  if (typeof pod !== "string") {
    throw new UsageError("create needs --pod", {
      hint: "stowage pod create NAME makes one; stowage run needs none.",
    });
  }
  const run = readProcessFlags(command, flags);
  await using runtime = await openRuntime(context);
  const { id } = await runtime.createContainer({
    podId: pod,
    containerName: typeof name === "string" ? name : `container-${randomBytes(6).toString("hex")}`,
    imageName,
    run,
    signal: context.signal,
  });
  context.print({ id }, id);
};
