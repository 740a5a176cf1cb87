import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { imageRow } from "./images.ts";

export const inspect: RunCommand = async (context, { args }) => {
  await using runtime = await openRuntime(context);
  const image = await runtime.images.inspect(args[0] ?? "", { signal: context.signal });
  const { manifest, config, layers } = image;
  const value = {
    ...imageRow(image),
    labels: image.labels,
    user: image.user,
    manifest,
    config,
    layers,
  };
  context.print(value, JSON.stringify(value, null, 2));
};
