import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { readSourceFlags } from "../source-flags.ts";
import { renderTable, shortId } from "../table.ts";

export const podCreate: RunCommand = async (context, { args: [podName = ""], flags }) => {
  await using runtime = await openRuntime(context, await readSourceFlags(context, flags));
  const text = (name: string) => (typeof flags[name] === "string" ? flags[name] : undefined);
  const { id } = await runtime.createPodSandbox({
    podName,
    imageName: text("image"),
    namespace: text("namespace"),
    uid: text("uid"),
    signal: context.signal,
  });
  context.print({ id }, id);
};

export const podList: RunCommand = async (context) => {
  await using runtime = await openRuntime(context);
  const pods = await runtime.pods.listPods();
  const rows = pods.map(({ id, name, containerIds }) => [
    shortId(id),
    name,
    String(containerIds.length),
  ]);
  context.print(pods, renderTable([["ID", "NAME", "CONTAINERS"], ...rows]));
};

export const podInspect: RunCommand = async (context, { args: [pod = ""] }) => {
  await using runtime = await openRuntime(context);
  const status = await runtime.pods.podStatus(pod);
  context.print(status, JSON.stringify(status, null, 2));
};

export const podRemove: RunCommand = async (context, { args: [pod = ""] }) => {
  await using runtime = await openRuntime(context);
  const removed = await runtime.pods.removePod(pod, { signal: context.signal });
  context.print({ removed }, removed.join("\n"));
};
