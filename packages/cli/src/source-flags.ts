import type { RuntimeOptions } from "@stowage/runtime-shim";

import { readBoolean } from "./boolean-flag.ts";
import type { CommandContext } from "./command.ts";
import { readCredentials } from "./credentials-input.ts";

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
