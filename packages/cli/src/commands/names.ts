import { hasErrorCode } from "@stowage/content";
import { formatRepository, parseReference } from "@stowage/reference";
import type { Runtime } from "@stowage/runtime-shim";

import type { CommandContext, RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { shortId } from "../table.ts";

export const tag: RunCommand = async (context, { args: [image = "", name = ""] }) => {
  await using runtime = await openRuntime(context);
  const full = await runtime.images.tag(image, name, { signal: context.signal });
  context.print({ name: full }, full);
};

export const untag: RunCommand = async (context, { args: [name = ""] }) => {
  await using runtime = await openRuntime(context);
  tellRemoved(context, await runtime.images.untagImage(name, { signal: context.signal }));
};

export const rmi: RunCommand = async (context, { args: [image = ""] }) => {
  await using runtime = await openRuntime(context);
  tellRemoved(context, await removeNamed(runtime.images, image, { signal: context.signal }));
};

type Images = Runtime["images"];
type Removed = Awaited<ReturnType<Images["untagImage"]>>;

async function removeNamed(
  images: Images,
  image: string,
  options: { readonly signal: AbortSignal },
): Promise<Removed> {
  try {
    return await images.untagImage(image, options);
  } catch (error) {
    if (!hasErrorCode(error, "ERR_IMAGE_NOT_FOUND")) throw error;
  }
  // A digest leads to the image as long as it has a name in that repository.
  const { id, names, canonical = image } = await images.requireImage(image, options);
  const repository = formatRepository(parseReference(canonical).repository);
  const own = names.filter(
    (name) => name.startsWith(`${repository}:`) || name.startsWith(`${repository}@`),
  );
  if (own.length === names.length) return await images.removeImage(id, options);
  const removed: Removed[] = [];
  for (const name of own) removed.push(await images.untagImage(name, options));
  return { ...removed.at(-1), names: removed.flatMap((one) => one.names) };
}

function tellRemoved(context: CommandContext, { names, id, kept }: Removed): void {
  const lines = names.map((name) => `untagged ${name}`);
  const removed = id === undefined ? [] : [`removed ${id}`];
  context.print({ names, ...(id && { id }) }, [...lines, ...removed].join("\n"));
  if (kept === undefined) return;
  const why =
    kept.names.length > 0 ? `as ${kept.names.join(", ")}` : "for the containers that use it";
  context.tell(`kept     ${shortId(kept.id)}  ${why}`);
}
