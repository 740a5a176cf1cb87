import { parsePlatform } from "@stowage/content";
import { parseReference } from "@stowage/reference";
import type { CopyBetweenOptions, CopyLocation } from "@stowage/runtime-shim";

import { readBoolean } from "../boolean-flag.ts";
import type { CommandContext, CommandInput, RunCommand } from "../command.ts";
import { createCopyView } from "../copy-progress.ts";
import { readCredentials } from "../credentials-input.ts";
import { refuseTransport } from "../image-argument.ts";
import { runtimeOptions } from "../open-runtime.ts";
import { readSides } from "../side-flags.ts";
import { readNamespaceFlag } from "../source-flags.ts";
import { UsageError } from "../usage-error.ts";

type Flags = CommandInput["flags"];
type CopyFlags = Partial<CopyBetweenOptions>;

export const copy: RunCommand = async (context, { args: [from = "", to = ""], flags }) => {
  const { parseCopyLocation } = await import("@stowage/runtime-shim");
  const locations = [parseCopyLocation(from), parseCopyLocation(to)] as const;
  await copyLocations(context, locations, {
    ...readCopyFlags(flags),
    ...readNamespaceFlag(flags),
    withReferrers: flags["withReferrers"] === true,
    ...(await readSides(context, flags)),
  });
};

export const push: RunCommand = async (context, { args: [image = "", given], flags }) => {
  const { isCopyLocation, parseCopyLocation } = await import("@stowage/runtime-shim");
  refuseTransport(image, "push takes an image of the store");
  const destination = given ?? nameToPush(image);
  const to = isCopyLocation(destination) ? destination : `docker://${destination}`;
  const locations = [parseCopyLocation(`store:${image}`), parseCopyLocation(to)] as const;
  const credentials = flags["credsStdin"] === true ? await readCredentials(context) : undefined;
  await copyLocations(context, locations, { ...readCopyFlags(flags), to: { credentials } });
};

async function copyLocations(
  context: CommandContext,
  [from, to]: readonly [CopyLocation, CopyLocation],
  flags: CopyFlags,
): Promise<void> {
  const { copyBetween, formatCopyLocation } = await import("@stowage/runtime-shim");
  context.at(`${formatCopyLocation(from)} to ${formatCopyLocation(to)}`);
  using view = await createCopyView(context);
  const { onProgress } = view;
  const options = { ...(await runtimeOptions(context)), ...flags, onProgress };
  const copied = await copyBetween(from, to, options);
  context.print(copied, copied.digest);
}

function readCopyFlags({ platform, allPlatforms, tlsVerify }: Flags): CopyFlags {
  return {
    platforms: ((platform ?? []) as readonly string[]).map((text) => parsePlatform(text)),
    allPlatforms: allPlatforms === true,
    tlsVerify: readBoolean(tlsVerify, "--tls-verify"),
  };
}

/** Where an image goes that is pushed without a destination: to its own name. */
function nameToPush(image: string): string {
  const hint = "Write where to push it: stowage push IMAGE NAME:TAG.";
  if (/^(?:sha256:)?[0-9a-f]{3,64}$/.test(image)) {
    throw new UsageError("an ID names no place to push to", { hint });
  }
  if (parseReference(image).digest === undefined) return image;
  throw new UsageError("a digest is no place to push to", { hint });
}
