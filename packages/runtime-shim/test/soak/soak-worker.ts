/**
 * A process of the soak: does what it is told, line by line, and answers each line with what came of
 * it. It may be killed at any moment.
 */
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";

import { errorKind } from "@stowage/content";
import { createRuntime, type RuntimeOptions } from "@stowage/runtime-shim";

/** What a worker can be told. */
export type SoakOrder =
  | { readonly op: "pull" | "rmi"; readonly image: string }
  | { readonly op: "tag"; readonly image: string; readonly name: string }
  | { readonly op: "create"; readonly image: string; readonly id: string }
  | { readonly op: "rm" | "start" | "stop"; readonly id: string }
  | { readonly op: "check" | "gc" | "list" | "stats" };

/** What came of an order: a result, or the kind and the words of a failure. */
export interface SoakAnswer {
  readonly result?: unknown;
  readonly failure?: { readonly kind: string | undefined; readonly message: string };
}

await using runtime = await createRuntime(JSON.parse(process.argv[2] ?? "") as RuntimeOptions);
const { store, images } = runtime;
answer({ result: "ready" });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    answer({ result: (await obey(JSON.parse(line) as SoakOrder)) ?? null });
  } catch (error) {
    const message = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
    answer({ failure: { kind: errorKind(error), message } });
  }
}

async function obey(order: SoakOrder): Promise<unknown> {
  switch (order.op) {
    case "pull":
      return (await images.pull(order.image)).id;
    case "rmi":
      return (await images.untagImage(order.image)).names;
    case "tag":
      return await images.tag(order.image, order.name);
    case "create": {
      const { id: imageId, topLayer } = await images.inspect(order.image);
      const spec = { id: order.id, names: [], imageId, topLayer, metadata: "" };
      return (await store.containers.create(spec)).id;
    }
    case "start":
      return readdirSync((await store.mounts.mountContainer(order.id)).mountPoint).length;
    case "stop":
      return await store.mounts.unmountContainer(order.id, { force: true });
    case "rm":
      return await store.containers.remove(order.id);
    case "gc":
      return (await store.collectGarbage({ maxIngestAgeMs: 60_000 })).removedBytes;
    case "check":
      return (await store.check()).damages;
    case "list":
      return (await images.listImages()).map(({ names }) => names);
    default:
      return { fds: readdirSync("/proc/self/fd").length, rss: process.memoryUsage.rss() };
  }
}

function answer(value: SoakAnswer): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
