import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";

export const mount: RunCommand = async (context, { args: [image = ""] }) => {
  await using runtime = await openRuntime(context);
  const { signal } = context;
  const { id } = await runtime.images.requireImage(image, { signal });
  const mounted = await runtime.store.mounts.mountImage(id, { signal });
  context.print(mounted, mounted.mountPoint);
};

export const umount: RunCommand = async (context, { args: [image = ""] }) => {
  await using runtime = await openRuntime(context);
  const { id } = await runtime.images.requireImage(image, { signal: context.signal });
  const count = await runtime.store.mounts.unmountImage(id);
  context.print({ id, count }, id);
};
