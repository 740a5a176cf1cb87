import { createMemoryContentStore, type Digest, digestOf, MEDIA_TYPE } from "@stowage/content";
import { createMemoryTagStore } from "@stowage/registry-server";
import { buildImage, type BuiltImage, putBlob } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { serve } from "./support/registry-world.ts";

const OLD = buildImage({ layers: [{ entries: [{ name: "a", content: "a" }] }] });
const NEW = buildImage({ layers: [{ entries: [{ name: "b", content: "b" }] }] });

describe("what is taken out of the content store when it has just been found there", () => {
  test("is another manifest than the one that the tag has moved to", async () => {
    const tags = createMemoryTagStore();
    const content = contentWithout(OLD.descriptor.digest, () => tags.put("r", NEW.descriptor, "1"));
    await using world = await serve({ content, tags });
    for (const { manifest, descriptor } of [OLD, NEW]) {
      await putBlob(content, descriptor.mediaType, manifest);
    }
    await tags.put("r", OLD.descriptor, "1");
    const answer = await fetch(`${world.url}/v2/r/manifests/1`);
    expect(answer.status).toBe(200);
    expect(digestOf(new Uint8Array(await answer.arrayBuffer()))).toBe(NEW.descriptor.digest);
  });

  test("is an unknown manifest, and no failure", async () => {
    const tags = createMemoryTagStore();
    const content = contentWithout(OLD.descriptor.digest);
    await using world = await serve({ content, tags });
    await putBlob(content, OLD.descriptor.mediaType, OLD.manifest);
    await tags.put("r", OLD.descriptor, "1");
    expect(await refusalOf(`${world.url}/v2/r/manifests/1`)).toEqual([404, "MANIFEST_UNKNOWN"]);
  });

  test("is an unknown blob, and no answer that breaks off", async () => {
    const bytes = Buffer.from("blob");
    const content = contentWithout(digestOf(bytes));
    await using world = await serve({ content });
    const { digest } = await putBlob(content, MEDIA_TYPE.layerTar, bytes);
    expect(await refusalOf(`${world.url}/v2/r/blobs/${digest}`)).toEqual([404, "BLOB_UNKNOWN"]);
  });

  test("hides no other referrer", async () => {
    const [one, other] = [referrerOf(OLD, "one"), referrerOf(OLD, "other")];
    const tags = createMemoryTagStore();
    const content = contentWithout(digestOf(one));
    await using world = await serve({ content, tags });
    for (const bytes of [one, other]) {
      await tags.put("r", await putBlob(content, MEDIA_TYPE.imageManifest, bytes));
    }
    const answer = await fetch(`${world.url}/v2/r/referrers/${OLD.descriptor.digest}`);
    expect(await answer.json()).toMatchObject({ manifests: [{ digest: digestOf(other) }] });
  });
});

/** A store from which something is removed when it is about to be read. */
function contentWithout(digest: Digest, turn: () => Promise<void> = async () => {}) {
  const memory = createMemoryContentStore();
  return {
    ...memory,
    async *openContent(...args: Parameters<typeof memory.openContent>) {
      if (args[0].digest === digest) {
        await memory.remove(digest);
        await turn();
      }
      yield* memory.openContent(...args);
    },
  };
}

function referrerOf({ descriptor }: BuiltImage, note: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      config: { mediaType: MEDIA_TYPE.empty, digest: digestOf(Buffer.from("{}")), size: 2 },
      layers: [],
      subject: descriptor,
      annotations: { note },
    }),
  );
}

async function refusalOf(url: string): Promise<readonly [status: number, code: unknown]> {
  const answer = await fetch(url);
  const { errors } = (await answer.json()) as { readonly errors: readonly { code: string }[] };
  return [answer.status, errors[0]?.code];
}
