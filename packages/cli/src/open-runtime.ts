import type { Runtime, RuntimeOptions } from "@stowage/runtime-shim";

import type { CommandContext } from "./command.ts";
import { registrySettings } from "./registry-log.ts";
import { chooserOf } from "./short-name-prompt.ts";

/** Opens the runtime as the global options say. */
export async function openRuntime(
  context: CommandContext,
  more: Partial<RuntimeOptions> = {},
): Promise<Runtime> {
  const { createRuntime } = await import("@stowage/runtime-shim");
  return createRuntime({ ...(await runtimeOptions(context)), ...more });
}

/** What the global options say, for whoever opens the runtime itself or only a part of it. */
export async function runtimeOptions(context: CommandContext): Promise<RuntimeOptions> {
  const { options, signal } = context;
  return {
    root: options.root,
    runRoot: options.runRoot,
    policyPath: options.policy,
    policyDirectory: options.policyDir,
    registriesDPath: options.registriesD,
    authfile: options.authfile,
    certDir: options.certDir,
    signal,
    ...(await registrySettings(context)),
    choose: chooserOf(context),
  };
}
