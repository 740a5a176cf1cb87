import type { PolicyGate } from "@stowage/image-service";

import type { RuntimeOptions } from "./runtime-options.ts";

/** Asks the policy as it is on disk when it is asked. Without any, nothing is allowed. */
export function wirePolicyGate(options: RuntimeOptions): PolicyGate {
  const { policyPath, env, onWarning } = options;
  return {
    async requireAllowed(subject, { signal } = {}) {
      const { createPolicyEvaluator, loadPolicy } = await import("@stowage/policy");
      const { policy, file, warnings } = await loadPolicy({ path: policyPath, env, signal });
      for (const warning of warnings) onWarning?.(warning);
      const { reference, manifest } = subject;
      await createPolicyEvaluator({ policy, file }).requireAllowed(
        { transport: "docker", reference, manifestDigest: manifest.digest },
        { signal },
      );
    },
  } satisfies PolicyGate;
}
