import type { RegistryAccess } from "@stowage/runtime-shim";

import { readBoolean } from "./boolean-flag.ts";
import type { CommandContext, CommandInput } from "./command.ts";
import { readCredentials } from "./credentials-input.ts";
import { UsageError } from "./usage-error.ts";

type Flags = CommandInput["flags"];

/** How each side is spoken to, as the flags of a command that asks two registries say. */
export async function readSides(
  context: CommandContext,
  flags: Flags,
): Promise<{ readonly from: RegistryAccess; readonly to: RegistryAccess }> {
  if (flags["srcCredsStdin"] === true && flags["destCredsStdin"] === true) {
    throw new UsageError("standard input holds one user:password", {
      hint: "Log in to the one registry, or name its credential file with --authfile.",
    });
  }
  return {
    from: await readAccess(context, flags, "src"),
    to: await readAccess(context, flags, "dest"),
  };
}

async function readAccess(
  context: CommandContext,
  flags: Flags,
  side: "dest" | "src",
): Promise<RegistryAccess> {
  const isHere = flags[`${side}CredsStdin`] === true;
  return {
    tlsVerify: readBoolean(flags[`${side}TlsVerify`], `--${side}-tls-verify`),
    credentials: isHere ? await readCredentials(context, `--${side}-creds-stdin`) : undefined,
  };
}
