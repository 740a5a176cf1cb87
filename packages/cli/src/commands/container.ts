import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { renderTable, shortId } from "../table.ts";

export const start: RunCommand = async (context, { args: [container = ""] }) => {
  await using runtime = await openRuntime(context);
  const started = await runtime.startContainer(container, { signal: context.signal });
  context.print(started, started.bundle);
};

export const stop: RunCommand = async (context, { args: [container = ""] }) => {
  await using runtime = await openRuntime(context);
  await runtime.pods.stopContainer(container, { signal: context.signal });
  context.print({ stopped: container }, container);
};

export const remove: RunCommand = async (context, { args: [container = ""] }) => {
  await using runtime = await openRuntime(context);
  const removed = await runtime.pods.deleteContainer(container, { signal: context.signal });
  context.print({ removed: removed ? [container] : [] }, container);
};

export const list: RunCommand = async (context) => {
  await using runtime = await openRuntime(context);
  const containers = await runtime.pods.listContainers({ signal: context.signal });
  const rows = containers.map(({ id, names, podId, state, imageRef }) => [
    shortId(id),
    names[0] ?? "",
    shortId(podId),
    state,
    imageRef ?? "",
  ]);
  context.print(containers, renderTable([["ID", "NAME", "POD", "STATE", "IMAGE"], ...rows]));
};

export const status: RunCommand = async (context, { args: [container = ""] }) => {
  await using runtime = await openRuntime(context);
  const found = await runtime.pods.containerStatus(container, { signal: context.signal });
  context.print(found, JSON.stringify(found, null, 2));
};
