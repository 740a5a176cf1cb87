import { formatPlatform, hostPlatform } from "@stowage/content";

import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { VERSION } from "../version.ts";

export const info: RunCommand = async (context) => {
  await using runtime = await openRuntime(context);
  const { findOciRuntime, policyPaths } = await import("@stowage/runtime-shim");
  const ociRuntime = await findOciRuntime({ env: context.env }).then(
    ({ runtime: { path } }) => path,
    (error: unknown) => (error instanceof Error ? `none: ${error.message}` : "none"),
  );
  const value = {
    version: VERSION,
    platform: formatPlatform(hostPlatform()),
    node: process.version,
    root: context.options.root,
    runRoot: context.options.runRoot,
    policy: policyPaths({ path: context.options.policy, env: context.env }),
    ociRuntime,
    store: await runtime.store.info(),
  };
  context.print(value, JSON.stringify(value, null, 2));
};
