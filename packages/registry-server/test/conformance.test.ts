import { request } from "node:http";

import { digestOf, EMPTY_DESCRIPTOR, MEDIA_TYPE } from "@stowage/content";
import { hasPeer, startDockerRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { serve } from "./support/registry-world.ts";

/** What clients count on, whoever serves. */
interface Behaviour {
  readonly name: string;
  /** What Debian's docker-registry (2.8) does not do. */
  readonly oursOnly?: boolean;
  readonly run: (url: string) => Promise<void>;
}

const HELLO = Buffer.from("hello, registry");
const EMPTY = Buffer.from("{}");
const MANIFEST = manifestOf({});

const BEHAVIOURS: readonly Behaviour[] = [
  {
    name: "says that it is a registry",
    run: async (url) => expect((await fetch(`${url}/v2/`)).status).toBe(200),
  },
  {
    name: "answers for what it does not have with the code of the specification",
    run: async (url) => {
      const blob = await fetch(`${url}/v2/a/blobs/${digestOf(HELLO)}`);
      expect([blob.status, await codeOf(blob)]).toEqual([404, "BLOB_UNKNOWN"]);
      const manifest = await fetch(`${url}/v2/a/manifests/none`);
      expect([manifest.status, await codeOf(manifest)]).toEqual([404, "MANIFEST_UNKNOWN"]);
      const tags = await fetch(`${url}/v2/none/tags/list`);
      expect([tags.status, await codeOf(tags)]).toEqual([404, "NAME_UNKNOWN"]);
    },
  },
  {
    name: "takes a blob by POST and PUT, and gives it where it says",
    run: async (url) => {
      const put = await fetch(withDigest(await startUpload(url), HELLO), {
        method: "PUT",
        body: HELLO,
      });
      expect([put.status, put.headers.get("docker-content-digest")]).toEqual([
        201,
        digestOf(HELLO),
      ]);
      const blob = await fetch(new URL(put.headers.get("location") ?? "", url));
      expect(Buffer.from(await blob.arrayBuffer())).toEqual(HELLO);
    },
  },
  {
    name: "takes a blob in chunks, and tells how far it is",
    run: async (url) => {
      let place = await startUpload(url);
      const patch = async (bytes: Uint8Array<ArrayBuffer>, from: number): Promise<Response> =>
        fetch(place, {
          method: "PATCH",
          body: bytes,
          headers: {
            "content-type": "application/octet-stream",
            "content-range": `${from}-${from + bytes.byteLength - 1}`,
          },
        });
      const first = await patch(bytesOf(HELLO.subarray(0, 5)), 0);
      expect([first.status, first.headers.get("range")]).toEqual([202, "0-4"]);
      place = locationOf(first, url);
      const status = await fetch(place);
      expect([status.status, status.headers.get("range")]).toEqual([204, "0-4"]);
      place = locationOf(status, url);
      const rest = await patch(bytesOf(HELLO.subarray(5)), 5);
      expect([rest.status, rest.headers.get("range")]).toEqual([202, "0-14"]);
      const end = withDigest(locationOf(rest, url), HELLO);
      expect((await fetch(end, { method: "PUT" })).status).toBe(201);
    },
  },
  {
    name: "takes no chunk that begins elsewhere than where the last one ended",
    oursOnly: true,
    run: async (url) => {
      const place = await startUpload(url);
      for (const [range, status] of [
        ["1-15", 416],
        ["0-14", 202],
        ["0-14", 416],
        ["16-30", 416],
      ] as const) {
        const headers = { "content-range": range };
        const answer = await fetch(place, { method: "PATCH", body: HELLO, headers });
        expect([range, answer.status]).toEqual([range, status]);
      }
    },
  },
  {
    name: "takes a blob whole by a single POST",
    oursOnly: true,
    run: async (url) => {
      const place = `${url}/v2/a/blobs/uploads/?digest=${digestOf(HELLO)}`;
      expect((await fetch(place, { method: "POST", body: HELLO })).status).toBe(201);
    },
  },
  {
    name: "keeps nothing of bytes that are not what they are called",
    run: async (url) => {
      const other = Buffer.from("other");
      const put = await fetch(withDigest(await startUpload(url), other), {
        method: "PUT",
        body: HELLO,
      });
      expect([put.status, await codeOf(put)]).toEqual([400, "DIGEST_INVALID"]);
      for (const bytes of [HELLO, other]) {
        expect((await fetch(`${url}/v2/a/blobs/${digestOf(bytes)}`)).status).toBe(404);
      }
    },
  },
  {
    name: "forgets an upload that is given up",
    run: async (url) => {
      const place = await startUpload(url);
      expect((await fetch(place, { method: "DELETE" })).status).toBe(204);
      const gone = await fetch(place);
      expect([gone.status, await codeOf(gone)]).toEqual([404, "BLOB_UPLOAD_UNKNOWN"]);
    },
  },
  {
    name: "mounts a blob of another repository, and begins an upload of what is in none",
    run: async (url) => {
      await pushBlob(url, HELLO);
      const mount = (bytes: Uint8Array): Promise<Response> =>
        fetch(`${url}/v2/b/blobs/uploads/?mount=${digestOf(bytes)}&from=a`, { method: "POST" });
      expect((await mount(HELLO)).status).toBe(201);
      expect((await fetch(`${url}/v2/b/blobs/${digestOf(HELLO)}`)).status).toBe(200);
      const begun = await mount(Buffer.from("none"));
      expect([begun.status, begun.headers.has("location")]).toEqual([202, true]);
    },
  },
  {
    name: "gives a part of a blob, and says of what",
    run: async (url) => {
      await pushBlob(url, HELLO);
      const get = (range: string): Promise<Response> =>
        fetch(`${url}/v2/a/blobs/${digestOf(HELLO)}`, { headers: { range } });
      for (const [range, text, told] of [
        ["bytes=7-", "registry", "bytes 7-14/15"],
        ["bytes=0-4", "hello", "bytes 0-4/15"],
        ["bytes=-3", "try", "bytes 12-14/15"],
      ] as const) {
        const part = await get(range);
        expect([part.status, await part.text(), part.headers.get("content-range")]).toEqual([
          206,
          text,
          told,
        ]);
      }
      expect((await get("bytes=15-")).status).toBe(416);
    },
  },
  {
    name: "tells of a blob by HEAD, without its bytes",
    run: async (url) => {
      await pushBlob(url, HELLO);
      const head = await fetch(`${url}/v2/a/blobs/${digestOf(HELLO)}`, { method: "HEAD" });
      expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([
        200,
        "15",
        "",
      ]);
    },
  },
  {
    name: "gives a manifest by tag and by digest as the very bytes that were pushed",
    run: async (url) => {
      await pushManifest(url, MANIFEST, "1");
      for (const target of ["1", digestOf(MANIFEST)]) {
        const answer = await fetch(`${url}/v2/a/manifests/${target}`, {
          headers: { accept: MEDIA_TYPE.imageManifest },
        });
        expect(answer.headers.get("content-type")).toBe(MEDIA_TYPE.imageManifest);
        expect(answer.headers.get("docker-content-digest")).toBe(digestOf(MANIFEST));
        expect(Buffer.from(await answer.arrayBuffer())).toEqual(MANIFEST);
      }
    },
  },
  {
    name: "refuses a manifest of what was not pushed, and one under another's digest",
    run: async (url) => {
      const lacking = await putManifest(url, MANIFEST, "1");
      expect([400, 404]).toContain(lacking.status);
      expect(await codeOf(lacking)).toBe("MANIFEST_BLOB_UNKNOWN");
      await pushBlob(url, EMPTY);
      const wrong = await putManifest(url, MANIFEST, digestOf(HELLO));
      expect([wrong.status, await codeOf(wrong)]).toEqual([400, "DIGEST_INVALID"]);
      expect((await fetch(`${url}/v2/a/manifests/1`)).status).toBe(404);
    },
  },
  {
    name: "lists tags in pages",
    oursOnly: true,
    run: async (url) => {
      for (const tag of ["a", "b", "c"]) await pushManifest(url, MANIFEST, tag);
      const first = await fetch(`${url}/v2/a/tags/list?n=2`);
      expect(await first.json()).toEqual({ name: "a", tags: ["a", "b"] });
      const [, next = ""] = /<([^>]+)>; *rel="?next"?/.exec(first.headers.get("link") ?? "") ?? [];
      const second = await fetch(new URL(next, url));
      expect(await second.json()).toEqual({ name: "a", tags: ["c"] });
      expect(second.headers.get("link")).toBeNull();
    },
  },
  {
    name: "deletes a manifest with its tags, and a blob",
    run: async (url) => {
      await pushManifest(url, MANIFEST, "1");
      const remove = async (path: string): Promise<number> =>
        (await fetch(`${url}/v2/a/${path}`, { method: "DELETE" })).status;
      expect(await remove(`manifests/${digestOf(MANIFEST)}`)).toBe(202);
      expect((await fetch(`${url}/v2/a/manifests/1`)).status).toBe(404);
      expect(await remove(`manifests/${digestOf(MANIFEST)}`)).toBe(404);
      expect(await remove(`blobs/${digestOf(EMPTY)}`)).toBe(202);
      expect((await fetch(`${url}/v2/a/blobs/${digestOf(EMPTY)}`)).status).toBe(404);
    },
  },
  {
    name: "deletes a tag and keeps its manifest",
    oursOnly: true,
    run: async (url) => {
      await pushManifest(url, MANIFEST, "1");
      const { status } = await fetch(`${url}/v2/a/manifests/1`, { method: "DELETE" });
      expect(status).toBe(202);
      expect((await fetch(`${url}/v2/a/manifests/1`)).status).toBe(404);
      expect((await fetch(`${url}/v2/a/manifests/${digestOf(MANIFEST)}`)).status).toBe(200);
    },
  },
  {
    name: "lists what refers to a manifest, before that is there, and by type",
    oursOnly: true,
    run: async (url) => {
      const subject = {
        mediaType: MEDIA_TYPE.imageManifest,
        digest: digestOf(MANIFEST),
        size: MANIFEST.byteLength,
      };
      const sbom = manifestOf({ artifactType: "application/spdx+json", subject });
      const put = await pushManifest(url, sbom, digestOf(sbom));
      expect(put.headers.get("oci-subject")).toBe(digestOf(MANIFEST));
      const list = `${url}/v2/a/referrers/${digestOf(MANIFEST)}`;
      const other = await fetch(`${list}?artifactType=other`);
      expect(other.headers.get("oci-filters-applied")).toBe("artifactType");
      expect(await other.json()).toMatchObject({ manifests: [] });
      expect(await (await fetch(list)).json()).toMatchObject({
        mediaType: MEDIA_TYPE.imageIndex,
        manifests: [{ digest: digestOf(sbom), artifactType: "application/spdx+json" }],
      });
    },
  },
  {
    name: "keeps blobs and manifests under sha512 digests",
    oursOnly: true,
    run: async (url) => {
      const digest = digestOf(HELLO, "sha512");
      const begun = await fetch(`${url}/v2/a/blobs/uploads/?digest-algorithm=sha512`, {
        method: "POST",
      });
      const place = `${locationOf(begun, url)}?digest=${digest}`;
      expect((await fetch(place, { method: "PUT", body: HELLO })).status).toBe(201);
      expect(await (await fetch(`${url}/v2/a/blobs/${digest}`)).text()).toBe(HELLO.toString());
      const long = digestOf(MANIFEST, "sha512");
      await pushManifest(url, MANIFEST, long);
      const answer = await fetch(`${url}/v2/a/manifests/${long}`);
      expect([answer.status, answer.headers.get("docker-content-digest")]).toEqual([200, long]);
    },
  },
  {
    name: "is led nowhere by the paths that it is asked for",
    oursOnly: true,
    run: async (url) => {
      const long = "a".repeat(300);
      const digest = digestOf(HELLO);
      for (const path of [
        "/v2/../../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/passwd",
        "/v2/a/../../b/manifests/1",
        `/v2/a/blobs/sha256:../../${digest.slice(7)}`,
        "/v2/a/blobs/uploads/..%2f..%2fetc%2fpasswd",
        "/v2/a/manifests/..%2f..%2f1",
        "/v2/a/blobs/%00",
        `/v2/A/blobs/${digest}`,
        `/v2//blobs/${digest}`,
        `/v2/-a/blobs/${digest}`,
        `/v2/${long}/blobs/${digest}`,
        `/v2/a/blobs/${digest.toUpperCase()}`,
        "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e",
        `/v2/a/referrers/${long}`,
        "/v2/a/tags/../manifests/1",
      ]) {
        const status = await statusOf(url, path);
        expect([path, status >= 300 && status < 500]).toEqual([path, true]);
      }
    },
  },
];

const hasDocker = hasPeer("docker-registry");

describe("the registry of this package", () => {
  test.each(BEHAVIOURS)("$name", async ({ run }) => {
    await using world = await serve({ readOnly: false });
    await run(world.url);
  });
});

describe.skipIf(!hasDocker)("docker-registry, so that this is no wish of ours", () => {
  test.each(BEHAVIOURS.filter(({ oursOnly }) => oursOnly !== true))("$name", async ({ run }) => {
    await using registry = await startDockerRegistry();
    await run(registry.url);
  });
});

function manifestOf(more: object): Buffer {
  const config = { ...EMPTY_DESCRIPTOR, mediaType: MEDIA_TYPE.imageConfig };
  const document = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers: [] };
  return Buffer.from(JSON.stringify({ ...document, ...more }));
}

async function startUpload(url: string): Promise<string> {
  const begun = await fetch(`${url}/v2/a/blobs/uploads/`, { method: "POST" });
  expect(begun.status).toBe(202);
  return locationOf(begun, url);
}

async function pushBlob(url: string, bytes: Buffer): Promise<void> {
  const place = withDigest(await startUpload(url), bytes);
  const { status } = await fetch(place, { method: "PUT", body: bytesOf(bytes) });
  expect(status).toBe(201);
}

async function pushManifest(url: string, bytes: Buffer, target: string): Promise<Response> {
  await pushBlob(url, EMPTY);
  const put = await putManifest(url, bytes, target);
  expect(put.status).toBe(201);
  return put;
}

function putManifest(url: string, bytes: Buffer, target: string): Promise<Response> {
  const headers = { "content-type": MEDIA_TYPE.imageManifest };
  const body = bytesOf(bytes);
  return fetch(`${url}/v2/a/manifests/${target}`, { method: "PUT", headers, body });
}

function locationOf(response: Response, url: string): string {
  return new URL(response.headers.get("location") ?? "", url).href;
}

function withDigest(place: string, bytes: Uint8Array): string {
  const url = new URL(place);
  url.searchParams.set("digest", digestOf(bytes));
  return url.href;
}

function bytesOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

async function codeOf(response: Response): Promise<string | undefined> {
  const { errors } = (await response.json()) as { errors: readonly { code: string }[] };
  return errors[0]?.code;
}

/** Of a path that `fetch` would tidy up. */
function statusOf(url: string, path: string): Promise<number> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on("error", reject).end();
  });
}
