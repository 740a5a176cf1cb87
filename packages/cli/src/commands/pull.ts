import { parsePlatform } from "@stowage/content";

import type { RunCommand } from "../command.ts";
import { readCredentials } from "../credentials-input.ts";
import { checkPullReference } from "../image-argument.ts";
import { openRuntime } from "../open-runtime.ts";
import { createProgressView } from "../progress.ts";
import { UsageError } from "../usage-error.ts";

export const pull: RunCommand = async (context, { args, flags }) => {
  const reference = checkPullReference(args[0] ?? "");
  const { platform: wanted, tlsVerify, credsStdin } = flags;
  const platform = typeof wanted === "string" ? parsePlatform(wanted) : undefined;
  const credentials = credsStdin === true ? await readCredentials(context) : undefined;
  await using runtime = await openRuntime(context, {
    credentials,
    tlsVerify: readBoolean(tlsVerify, "--tls-verify"),
  });
  using progress = await createProgressView(context);
  const { onProgress } = progress;
  const pulled = await runtime.images.pull(reference, {
    platform,
    onProgress,
    signal: context.signal,
  });
  context.print(pulled, pulled.canonical);
};

function readBoolean(value: unknown, flag: string): boolean | undefined {
  if (value === undefined) return undefined;
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw new UsageError(`${flag} takes true or false`);
}
