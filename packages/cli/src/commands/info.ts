import { formatPlatform, hostPlatform } from "@stowage/content";

import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { ownVersion } from "../version.ts";

export const info: RunCommand = async (context) => {
  await using runtime = await openRuntime(context);
  const { explain, findOciRuntime, policyPaths } = await import("@stowage/runtime-shim");
  const found = await findOciRuntime({ env: context.env }).then(
    ({ runtime: { path }, passedOver }) => ({
      ociRuntime: path,
      ociRuntimesPassedOver: passedOver.map(explain),
    }),
    (error: unknown) => ({ ociRuntime: `none: ${error instanceof Error ? error.message : error}` }),
  );
  const value = {
    version: ownVersion(),
    platform: formatPlatform(hostPlatform()),
    node: process.version,
    root: context.options.root,
    runRoot: context.options.runRoot,
    policy: policyPaths({ path: context.options.policy, env: context.env }),
    ...found,
    store: await runtime.store.info(),
  };
  context.print(value, JSON.stringify(value, null, 2));
};
