import type { ImageSource, PullProgress } from "@stowage/image-service";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/test-registry.ts";
import { openWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";
const HOST = "mirror.test:5000";
const URL_OF_BLOB = `https://${HOST}/v2/ns/app/blobs/x`;

describe("a blob on its way", () => {
  test("is told with where it comes from", async () => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, makeImage());
    const events: PullProgress[] = [];
    const images = world.service({ source: telling(world.registry.source) });
    await images.pull(`${APP}:1`, { onProgress: (event) => events.push(event) });
    const sources = events.flatMap((event) =>
      event.type === "blob-progress" || event.type === "blob-done" ? [event.source] : [],
    );
    expect(new Set(sources)).toEqual(new Set([HOST]));
  });

  test("R18 that was interrupted is told with what is here, and counted for the rest", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a"] });
    await world.registry.push(`${APP}:1`, image);
    const [layer = image.id] = [...image.blobs.keys()];
    const half = 512;
    const first = world.service({ source: cutting(world.registry.source, layer, half) });
    await expect(first.pull(`${APP}:1`)).rejects.toThrow("cut off");
    const events: PullProgress[] = [];
    const { transferred } = await world.images.pull(`${APP}:1`, {
      onProgress: (event) => events.push(event),
    });
    expect(events).toContainEqual(
      expect.objectContaining({ type: "blob-start", digest: layer, received: half }),
    );
    const size = image.blobs.get(layer)?.length ?? 0;
    const config = image.blobs.get(image.id)?.length ?? 0;
    expect(transferred.bytes).toBe(size - half + config);
  });

  test("that begins anew says so, and counts from its first byte", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a"] });
    await world.registry.push(`${APP}:1`, image);
    const [layer = image.id] = [...image.blobs.keys()];
    const images = world.service({ source: stumbling(world.registry.source, layer) });
    const events: PullProgress[] = [];
    await images.pull(`${APP}:1`, { onProgress: (event) => events.push(event) });
    const told = events.flatMap((event) => {
      if (event.type === "blob-restart") return [-1];
      return event.type === "blob-progress" && event.digest === layer ? [event.received] : [];
    });
    expect(told.slice(0, 3)).toEqual([5, -1, 512]);
    expect(told.at(-1)).toBe(image.blobs.get(layer)?.length);
  });

  test("that another service is getting is followed, and got once", async () => {
    await using world = await openWorld();
    const image = makeImage({ files: ["a"] });
    await world.registry.push(`${APP}:1`, image);
    const [layer = image.id] = [...image.blobs.keys()];
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    world.registry.beforeChunk = async (digest) => {
      if (digest !== layer) return;
      begun.resolve();
      await gate.promise;
    };
    const first = world.images.pull(`${APP}:1`);
    await begun.promise;
    const events: PullProgress[] = [];
    const second = world.service().pull(`${APP}:1`, { onProgress: (event) => events.push(event) });
    await expect.poll(() => events.map(({ type }) => type)).toContain("blob-follow");
    gate.resolve();
    await Promise.all([first, second]);
    expect(world.registry.fetched.filter((digest) => digest === layer)).toHaveLength(1);
    expect(events).toContainEqual(expect.objectContaining({ type: "blob-exists", digest: layer }));
  });
});

type Opened = Awaited<ReturnType<ImageSource["open"]>>;

function wrapped(source: ImageSource, openContent: (opened: Opened) => Opened["openContent"]) {
  return {
    async open(...args: Parameters<ImageSource["open"]>) {
      const opened = await source.open(...args);
      return {
        fetchManifest: (target, options) => opened.fetchManifest(target, options),
        openContent: openContent(opened),
        [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
      } satisfies Opened;
    },
  } satisfies ImageSource;
}

/** Says where its content comes from, as a registry does. */
function telling(source: ImageSource): ImageSource {
  return wrapped(
    source,
    (opened) =>
      async function* (descriptor, options) {
        options?.onOrigin?.({ url: URL_OF_BLOB });
        yield* opened.openContent(descriptor, options);
      },
  );
}

function cutting(source: ImageSource, digest: string, after: number): ImageSource {
  return wrapped(
    source,
    (opened) =>
      async function* (descriptor, options) {
        for await (const chunk of opened.openContent(descriptor, options)) {
          if (descriptor.digest !== digest) yield chunk;
          else {
            yield chunk.subarray(0, after);
            throw new Error("cut off");
          }
        }
      },
  );
}

/** Begins with other bytes. */
function stumbling(source: ImageSource, digest: string): ImageSource {
  return wrapped(
    source,
    (opened) =>
      async function* (descriptor, options) {
        if (descriptor.digest === digest) {
          yield Buffer.from("wrong");
          await options?.onRestart?.();
        }
        yield* opened.openContent(descriptor, options);
      },
  );
}
