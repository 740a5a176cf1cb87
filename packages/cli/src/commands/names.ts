import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";

export const tag: RunCommand = async (context, { args: [image = "", name = ""] }) => {
  await using runtime = await openRuntime(context);
  const full = await runtime.images.tag(image, name, { signal: context.signal });
  context.print({ name: full }, full);
};

export const untag: RunCommand = async (context, { args: [name = ""] }) => {
  await using runtime = await openRuntime(context);
  const removed = await runtime.images.untagImage(name, { signal: context.signal });
  context.print(removed, renderRemoved(removed));
};

export const rmi: RunCommand = async (context, { args: [image = ""] }) => {
  await using runtime = await openRuntime(context);
  const removed = await runtime.images.removeImage(image, { signal: context.signal });
  context.print(removed, renderRemoved(removed));
};

function renderRemoved(removed: {
  readonly names: readonly string[];
  readonly id?: string;
}): string {
  const lines = removed.names.map((name) => `untagged ${name}`);
  return [...lines, ...(removed.id === undefined ? [] : [`removed ${removed.id}`])].join("\n");
}
