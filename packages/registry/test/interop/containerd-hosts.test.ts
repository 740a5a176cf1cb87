import { readFileSync } from "node:fs";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { type FaultyRegistry, hasPeer, makeCertificates, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { startContainerd } from "../support/containerd.ts";
import { goodAnswer } from "../support/good-answer.ts";
import { HostsWorld, NOTHING } from "../support/hosts-world.ts";

const hasContainerd = hasPeer("containerd") && hasPeer("ctr");

describe.skipIf(!hasContainerd)("containerd with the same hosts.toml (if it is installed)", () => {
  test("asks the same servers for a tag in the same order, and the same one for the same blobs", async () => {
    await using folder = await tempDir();
    const { server: tls, client, authority } = await makeCertificates(folder.path);
    await using world = new HostsWorld();
    const [pullOnly, empty, below, registry] = [
      await world.start({ ...NOTHING, address: "127.0.0.2" }),
      await world.start({ ...NOTHING, address: "127.0.0.3" }),
      await world.start({
        address: "127.0.0.4",
        tls: { ...tls, clientAuthority: authority },
        script: ({ path, headers }) => {
          if (headers["x-key"] !== "of the test") return { status: 403 };
          const answer = goodAnswer(world.image, { path, headers });
          const digest = digestOf(world.image.manifest);
          const type = path.includes("/manifests/") ? MEDIA_TYPE.imageManifest : "x/y";
          const described = { "content-type": type, "docker-content-digest": digest };
          return { ...answer, headers: { ...answer.headers, ...described } };
        },
      }),
      await world.start(NOTHING),
    ];
    const name = "registry.test:5000";
    for (const [file, path] of [
      ["ca.pem", authority],
      ["client.cert", client.certificate],
      ["client.key", client.key],
    ] as const) {
      world.write(`registry.test_5000_/${file}`, readFileSync(path));
    }
    world.write(
      "registry.test_5000_/hosts.toml",
      `server = "${registry.url}"
[host."${pullOnly.url}"]
  capabilities = ["pull"]
[host."${empty.url}/some"]
  capabilities = ["pull", "resolve"]
[host."${below.url}/v2/hub/proxy"]
  capabilities = ["pull", "resolve"]
  override_path = true
  ca = "ca.pem"
  client = [["client.cert", "client.key"]]
  [host."${below.url}/v2/hub/proxy".header]
    x-key = "of the test"
`,
    );
    const servers = [pullOnly, empty, below, registry];
    await world.pull(world.repository(name));
    const ours = takeRequests(servers);
    await using containerd = await startContainerd(folder.path);
    await containerd.fetch(`${name}/team/app:latest`, world.directory.path);
    const theirs = takeRequests(servers);
    const isOfTag = (one: string): boolean => one.includes("/manifests/latest");
    const ns = "?ns=registry.test%3A5000";
    expect(ours.filter(isOfTag)).toEqual([
      `${empty.url}/some/v2/team/app/manifests/latest${ns}`,
      `${below.url}/v2/hub/proxy/team/app/manifests/latest${ns}`,
    ]);
    expect(theirs.filter(isOfTag)).toEqual(ours.filter(isOfTag));
    // We ask for blobs where the manifest came from; containerd goes through all servers each time.
    const served = (asked: readonly string[]): readonly string[] =>
      asked.filter((one) => one.startsWith(below.url) && one.includes("/blobs/")).toSorted();
    expect(served(ours)).toHaveLength(2);
    expect(served(theirs)).toEqual(served(ours));
  });
});

/** What servers were asked since the last look, in the order of its coming. */
function takeRequests(servers: readonly FaultyRegistry[]): readonly string[] {
  const all = servers.flatMap(({ url, requests }) =>
    requests.splice(0).map((request) => ({ url, request })),
  );
  return all
    .toSorted((a, b) => a.request.at - b.request.at)
    .map(({ url, request }) => `${url}${request.path}`);
}
