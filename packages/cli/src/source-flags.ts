import type { RuntimeOptions } from "@stowage/runtime-shim";

import type { CommandContext } from "./command.ts";
import { readCredentials } from "./credentials-input.ts";
import { UsageError } from "./usage-error.ts";

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

function readBoolean(value: unknown, flag: string): boolean | undefined {
  if (value === undefined) return undefined;
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw new UsageError(`${flag} takes true or false`);
}
