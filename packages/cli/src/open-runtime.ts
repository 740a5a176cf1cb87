import type { Runtime, RuntimeOptions } from "@stowage/runtime-shim";

import type { CommandContext } from "./command.ts";

/** Opens the runtime as the global options say. */
export async function openRuntime(
  context: CommandContext,
  more: Partial<RuntimeOptions> = {},
): Promise<Runtime> {
  const { options, env, signal } = context;
  const { createRuntime } = await import("@stowage/runtime-shim");
  return createRuntime({
    root: options.root,
    runRoot: options.runRoot,
    policyPath: options.policy,
    authfile: options.authfile,
    certDir: options.certDir,
    env,
    signal,
    onWarning: (message) => context.warn(message),
    ...more,
  });
}
