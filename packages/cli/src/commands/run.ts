import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { readProcessFlags } from "../process-flags.ts";
import { ENDING_SIGNALS } from "../signals.ts";
import { readNamespaceFlag } from "../source-flags.ts";

export const run: RunCommand = async (context, { args: [image = "", ...command], flags }) => {
  const { runtime: name } = flags;
  const process = readProcessFlags(command, flags);
  const { explain, runFailureExitCode } = await import("@stowage/runtime-shim");
  try {
    await using runtime = await openRuntime(context, readNamespaceFlag(flags));
    return await runtime.runContainer({
      image,
      run: process,
      runtime: typeof name === "string" ? name : undefined,
      signal: context.signal,
      forwardSignals: ENDING_SIGNALS,
      onSpawn: () => context.leaveNextSignal(),
      onRuntime: (found) => {
        if (context.options.logLevel === "error") return;
        for (const passedOver of found.passedOver) context.tell(explain(passedOver));
      },
    });
  } catch (error) {
    context.signal.throwIfAborted();
    // As podman: the process's own codes begin where ours end.
    throw Object.assign(error as Error, { exitCode: runFailureExitCode(error) });
  }
};
