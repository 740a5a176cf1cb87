import { formatPlatform } from "@stowage/content";
import type { ImageStatus } from "@stowage/runtime-shim";

import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { formatSize, renderTable, shortId } from "../table.ts";
import { UsageError } from "../usage-error.ts";

export const images: RunCommand = async (context, { args }) => {
  if (args[0] === "") throw new UsageError("the filter is empty");
  await using runtime = await openRuntime(context);
  const found = await runtime.images.listImages(args[0], { signal: context.signal });
  context.print(
    found.map(imageRow),
    renderTable([["NAME", "ID", "PLATFORM", "SIZE"], ...found.flatMap(textRows)]),
  );
};

/** What `images` and `inspect` tell of an image; these names are an interface. */
export function imageRow(image: ImageStatus): object {
  const { id, names, digests, canonical, size, created, platform, pinned } = image;
  return {
    id,
    names,
    digests,
    canonical,
    size,
    created,
    platform: formatPlatform(platform),
    pinned,
  };
}

function textRows(image: ImageStatus): string[][] {
  const names = image.names.length === 0 ? ["<none>"] : image.names;
  return names.map((name) => [
    name,
    shortId(image.id),
    formatPlatform(image.platform),
    formatSize(image.size),
  ]);
}
