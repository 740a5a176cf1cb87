import type { RuntimeOptions } from "@stowage/runtime-shim";

import { readBoolean } from "./boolean-flag.ts";
import type { CommandContext } from "./command.ts";
import { readCredentials } from "./credentials-input.ts";

/** Whose policy is asked, as the flags of a command say. */
export function readNamespaceFlag({
  namespace,
}: Readonly<Record<string, unknown>>): Pick<RuntimeOptions, "policyNamespace"> {
  return typeof namespace === "string" ? { policyNamespace: namespace } : {};
}

/** How a registry is spoken to, as the flags of a command that asks one say. */
export async function readSourceFlags(
  context: CommandContext,
  { tlsVerify, credsStdin }: Readonly<Record<string, unknown>>,
): Promise<Pick<RuntimeOptions, "credentials" | "tlsVerify">> {
  return {
    tlsVerify: readBoolean(tlsVerify, "--tls-verify"),
    credentials: credsStdin === true ? await readCredentials(context) : undefined,
  };
}
