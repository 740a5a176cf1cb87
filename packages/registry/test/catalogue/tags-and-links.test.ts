import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { describe, expect, test } from "vitest";

import { openStage, type Stage } from "../support/stage.ts";

const TAGS = /tags\/list/u;
const LIMIT = 4 * 1024 * 1024;
const SUBJECT = digestOf(Buffer.from("subject"));

describe("a list of tags", () => {
  test.for([
    "</v2/other/app/tags/list?n=1>; rel=next",
    "</v2/team/app/../../x>; rel=next",
    "<../../x>; rel=next",
    "</v2/team/app/tags/list/../../../other/tags/list>; rel=next",
    "</v2/team/app/tags/list>; rel=next",
    "<//127.0.0.4/v2/x>; rel=next",
  ])("H32 V15 that goes on at %s is RegistryProtocol", async (link) => {
    await using stage = await openStage();
    stage.fault(TAGS, [{ headers: { link } }, { body: '{"tags":["a"]}' }]);
    await stage.refuses("RegistryProtocol", () => tagsOf(stage));
    expect(stage.registry.requests).toHaveLength(2);
    expect(stage.attacker.accepted).toBe(0);
  });

  test("H32 V15 V03 that goes on at another host goes on here, with path and query", async () => {
    await using stage = await openStage();
    const link = `<${stage.attacker.url}/v2/team/app/tags/list?n=2>; rel="next"`;
    stage.fault(/n=2/u, [{ body: '{"tags":["b"]}' }]);
    stage.fault(TAGS, [{ headers: { link } }, { body: '{"tags":["a"]}' }]);
    expect(await tagsOf(stage)).toEqual(["a", "b"]);
    expect(stage.attacker.accepted).toBe(0);
  });

  test.for(["rel=next", "</v2/team/app/tags/list?n=2", "<>", "<a>; rel=prev", "\t,;,<,>"])(
    "H32 with the malformed link %j ends there",
    async (link) => {
      await using stage = await openStage();
      stage.fault(TAGS, [{ headers: { link } }, { body: '{"tags":["a"]}' }]);
      expect(await tagsOf(stage)).toEqual(["a"]);
    },
  );

  test("H32 V15 in a circle of two pages is RegistryProtocol", async () => {
    await using stage = await openStage();
    const to = (page: string) => ({
      headers: { link: `</v2/team/app/tags/list?p=${page}>; rel=next` },
    });
    stage.fault(/p=a/u, [to("b"), { body: '{"tags":[]}' }]);
    stage.fault(TAGS, [to("a"), { body: '{"tags":[]}' }]);
    await stage.refuses("RegistryProtocol", () => tagsOf(stage));
    expect(stage.registry.requests.length).toBeLessThanOrEqual(4);
  });

  test("H32 V15 of pages without an end is left after a thousand", async () => {
    await using stage = await openStage();
    stage.registry.rules.push(
      ...Array.from({ length: 1100 }, (_, page) => ({
        match: { path: TAGS, nth: 1, headers: { authorization: /./u } },
        do: [
          { headers: { link: `</v2/team/app/tags/list?p=${page}>; rel=next` } },
          { body: '{"tags":[]}' },
        ],
      })),
    );
    await stage.refuses("LimitExceeded", () => tagsOf(stage));
    expect(stage.registry.requests).toHaveLength(1001);
  });

  test("H33 leaves out what is no tag, and counts it", async () => {
    await using stage = await openStage();
    const tags = ["ok", "a/b", "a\nb", "", "..", "x".repeat(129), 7, null];
    stage.fault(TAGS, [{ body: JSON.stringify({ name: "team/other", tags }) }]);
    expect(await tagsOf(stage)).toEqual(["ok"]);
    expect(stage.events).toEqual([{ type: "tags-skipped", count: 7 }]);
  });

  test.for([
    ["no tags", '{"tags":null}', undefined],
    ["nothing", "{}", "RegistryProtocol"],
    ["an object of tags", '{"tags":{}}', "RegistryProtocol"],
    ["100 000 levels", "[".repeat(100_000), "RegistryProtocol"],
    ["HTML", "<html>", "RegistryProtocol"],
    ["a tag too many", JSON.stringify({ tags: Array(100_001).fill("a") }), "LimitExceeded"],
    ["over 4 MiB", JSON.stringify({ tags: ["x".repeat(LIMIT)] }), "LimitExceeded"],
  ] as const)("H33 of %s", async ([, body, kind]) => {
    await using stage = await openStage();
    stage.fault(TAGS, [{ body }]);
    if (kind === undefined) expect(await tagsOf(stage)).toEqual([]);
    else await stage.refuses(kind, () => tagsOf(stage));
  });
});

describe("a list of referrers", () => {
  test("H34 that is not kept is read from the fall-back tag", async () => {
    await using stage = await openStage();
    stage.fault(/referrers/u, [{ status: 404 }, { body: "" }]);
    stage.fault(/manifests\/sha256-/u, [{ body: indexOf(3) }]);
    expect(await referrersOf(stage)).toHaveLength(3);
  });

  test("H34 whose filter the registry only claims is filtered here", async () => {
    await using stage = await openStage();
    const headers = { "oci-filters-applied": "artifactType" };
    stage.fault(/referrers/u, [{ headers }, { body: indexOf(10) }]);
    expect(await referrersOf(stage, "type/1")).toHaveLength(5);
  });

  test.for([
    ["a manifest", undefined, "RegistryProtocol"],
    ["HTML", "<html>", "RegistryProtocol"],
    ["over 4 MiB", " ".repeat(LIMIT + 1), "LimitExceeded"],
  ] as const)("H34 that is %s: %s", async ([, body, kind]) => {
    await using stage = await openStage();
    stage.fault(/referrers/u, [{ body: body ?? stage.image.manifest }]);
    await stage.refuses(kind, () => referrersOf(stage));
  });

  test("H34 of more than ten thousand is LimitExceeded", async () => {
    await using stage = await openStage();
    const link = (page: number) => `</v2/team/app/referrers/${SUBJECT}?p=${page}>; rel=next`;
    for (let page = 0; page <= 11; page += 1) {
      stage.fault(/referrers/u, [{ headers: { link: link(page) } }, { body: indexOf(1000) }], {
        nth: 1,
      });
    }
    await stage.refuses("LimitExceeded", () => referrersOf(stage));
  });
});

function tagsOf({ repository }: Stage): Promise<string[]> {
  return Array.fromAsync(repository.tags());
}

function referrersOf({ repository }: Stage, artifactType?: string): Promise<unknown[]> {
  return Array.fromAsync(repository.referrers(SUBJECT, { artifactType }));
}

function indexOf(count: number): string {
  const manifests = Array.from({ length: count }, (_, at) => ({
    mediaType: MEDIA_TYPE.imageManifest,
    digest: digestOf(Buffer.from(String(at))),
    size: 1,
    artifactType: `type/${at % 2}`,
  }));
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests });
}
