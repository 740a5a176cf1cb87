import {
  createMemoryContentStore,
  type Descriptor,
  EMPTY_DESCRIPTOR,
  MEDIA_TYPE,
} from "@stowage/content";
import { putBlob, putImage } from "@stowage/testkit";
import { expect, test } from "vitest";

import { serve } from "./support/registry-world.ts";

test("referrers are found by subject and artifact type", async () => {
  await using world = await serve();
  const subject = await putImage(world.content, { layers: [] });
  const referrers = await Promise.all(
    ["sbom", "signature"].map((kind) => putReferrer(world.content, subject, `application/${kind}`)),
  );
  for (const referrer of referrers) await world.tags.put("r", referrer);
  const all = await fetch(`${world.url}/v2/r/referrers/${subject.digest}`);
  expect(await all.json()).toMatchObject({
    manifests: referrers.map(({ digest }) => ({ digest })),
  });
  const some = await fetch(
    `${world.url}/v2/r/referrers/${subject.digest}?artifactType=application/sbom`,
  );
  expect(some.headers.get("oci-filters-applied")).toBe("artifactType");
  expect(await some.json()).toMatchObject({
    manifests: [{ digest: referrers[0]?.digest, artifactType: "application/sbom" }],
  });
});

test("referrers of what nobody refers to are none, and not missing", async () => {
  await using world = await serve();
  const response = await fetch(`${world.url}/v2/none/referrers/${EMPTY_DESCRIPTOR.digest}`);
  expect([response.status, response.headers.get("content-type")]).toEqual([
    200,
    MEDIA_TYPE.imageIndex,
  ]);
  expect(await response.json()).toMatchObject({ manifests: [] });
});

test("each manifest is read once to find referrers, and one that is gone hides itself alone", async () => {
  const content = createMemoryContentStore();
  let opened = 0;
  await using world = await serve({
    content: {
      ...content,
      openContent(...words) {
        opened += 1;
        return content.openContent(...words);
      },
    },
  });
  const subject = await putImage(content, { layers: [] });
  const [kept, gone] = [
    await putReferrer(content, subject, "application/kept"),
    await putReferrer(content, subject, "application/gone"),
  ];
  for (const entry of [subject, gone, kept]) await world.tags.put("r", entry);
  await content.remove(gone.digest);
  const url = `${world.url}/v2/r/referrers/${subject.digest}`;
  for (let times = 0; times < 3; times += 1) {
    expect(await (await fetch(url)).json()).toMatchObject({ manifests: [{ digest: kept.digest }] });
  }
  expect(opened).toBe(2);
});

test("a manifest that is deleted refers no more", async () => {
  await using world = await serve({ readOnly: false });
  const subject = await putImage(world.content, { layers: [] });
  const referrer = await putReferrer(world.content, subject, "application/sbom");
  await world.tags.put("r", referrer);
  const list = async () =>
    (await fetch(`${world.url}/v2/r/referrers/${subject.digest}`)).json() as Promise<{
      manifests: unknown[];
    }>;
  expect((await list()).manifests).toHaveLength(1);
  const gone = await fetch(`${world.url}/v2/r/manifests/${referrer.digest}`, { method: "DELETE" });
  expect([gone.status, (await list()).manifests]).toEqual([202, []]);
});

async function putReferrer(
  content: Parameters<typeof putBlob>[0],
  subject: Descriptor,
  artifactType: string,
): Promise<Descriptor> {
  const { mediaType, digest, size } = subject;
  await putBlob(content, MEDIA_TYPE.empty, Buffer.from("{}"));
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    artifactType,
    config: EMPTY_DESCRIPTOR,
    layers: [],
    subject: { mediaType, digest, size },
  };
  return putBlob(content, MEDIA_TYPE.imageManifest, Buffer.from(JSON.stringify(manifest)));
}
