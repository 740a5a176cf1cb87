import { type Digest, errorKind, parseDigest } from "@stowage/content";
import type { Runtime } from "@stowage/runtime-shim";

import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";

const HEX = /^[0-9a-f]{3,64}$/;

export const mount: RunCommand = async (context, { args: [image = ""] }) => {
  await using runtime = await openRuntime(context);
  const { signal } = context;
  const { id } = await runtime.images.requireImage(image, { signal });
  const mounted = await runtime.store.mounts.mountImage(id, { signal });
  context.print(mounted, mounted.mountPoint);
};

export const umount: RunCommand = async (context, { args: [image = ""] }) => {
  await using runtime = await openRuntime(context);
  const { signal } = context;
  const id = await mountedImage(runtime, image, signal);
  const count = await runtime.store.mounts.unmountImage(id, { signal });
  context.print({ id, count }, id);
};

/** What was mounted may be damaged or gone since, and is known by its ID still. */
async function mountedImage(
  { images, store }: Runtime,
  image: string,
  signal: AbortSignal,
): Promise<Digest> {
  try {
    return (await images.requireImage(image, { signal })).id;
  } catch (error) {
    signal.throwIfAborted();
    const kind = errorKind(error);
    const digits = image.replace(/^sha256:/, "");
    if ((kind !== "ImageNotFound" && kind !== "StoreCorrupt") || !HEX.test(digits)) throw error;
    const { containers, damaged } = await store.containers.list();
    const others = [...containers.map(({ id }) => id), ...damaged.map(({ message }) => message)];
    const mounts = (await store.mounts.list()).filter(
      ({ id }) => id.startsWith(digits) && !others.some((other) => other.includes(id)),
    );
    const [found] = mounts;
    if (found === undefined || mounts.length > 1) throw error;
    return parseDigest(`sha256:${found.id}`);
  }
}
