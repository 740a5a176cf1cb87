import { formatRepository, parseRegistryHost, parseRepository, parseTag } from "@stowage/reference";
import {
  copyImage,
  createRegistryClient,
  openLayoutFolder,
  type RegistryClientOptions,
  registryDestination,
  type RegistryEvent,
} from "@stowage/registry";
import { buildImage, hasPeer, tempDir, writeOciLayout } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { DOORS, openDoor } from "./support/registry-doors.ts";
import { serve } from "./support/scripted-server.ts";

const hasPeers = ["docker-registry", "htpasswd"].every(hasPeer);

describe.skipIf(!hasPeers).each(DOORS)("docker-registry behind %s", (kind) => {
  test("lists its repositories in pages", async () => {
    await using folder = await tempDir();
    await using door = await openDoor(kind, folder.path);
    await using client = createRegistryClient(door.client);
    await writeOciLayout(`${folder.path}/layout`, { it: buildImage({ layers: [] }) });
    await using source = await openLayoutFolder(`${folder.path}/layout`, "it");
    const host = parseRegistryHost(door.registry.host);
    // A hundred are a page of docker-registry's; who asks makes no difference to the pages.
    const length = kind === "open" ? 101 : 2;
    const paths = Array.from({ length }, (_, at) => `team/app-${String(at).padStart(3, "0")}`);
    const copies = paths.map((path) => {
      const repository = client.repository(parseRepository(`${host}/${path}`));
      return copyImage(source, registryDestination(repository, parseTag("1")));
    });
    await Promise.all(copies);
    const found = await Array.fromAsync(client.repositories(host));
    expect(found.map(({ path }) => path)).toEqual(paths);
  });
});

describe("the catalogue", () => {
  test("H33 what names no repository is left out, and counted", async () => {
    const names = ["ok", "a/../b", "A", "", "evil.example/x@sha256:1", "x:y", 7, null];
    const events: RegistryEvent[] = [];
    expect(await namesIn({ repositories: names }, { onEvent: (e) => events.push(e) })).toEqual([
      "ok",
    ]);
    expect(events).toEqual([{ type: "repositories-skipped", count: names.length - 1 }]);
  });

  test.for([[{}], [{ repositories: {} }], [[]]])("H33 %j is RegistryProtocol", async ([page]) => {
    await expect(namesIn(page)).rejects.toMatchObject({ kind: "RegistryProtocol" });
  });

  test("that a registry keeps to itself is an error of its own", async () => {
    await using server = await serve((_, response) => response.writeHead(405).end());
    await using client = createRegistryClient({ plainHttp: true });
    const list = Array.fromAsync(client.repositories(parseRegistryHost(server.host)));
    await expect(list).rejects.toMatchObject({ code: "ERR_REGISTRY_UNSUPPORTED" });
  });

  test("is not waited for longer than its caller wants", async () => {
    await using server = await serve(() => {});
    await using client = createRegistryClient({ plainHttp: true });
    const stop = new AbortController();
    const host = parseRegistryHost(server.host);
    const list = Array.fromAsync(client.repositories(host, { signal: stop.signal }));
    await expect.poll(() => server.requests.length).toBe(1);
    stop.abort(new Error("enough"));
    await expect(list).rejects.toThrow("enough");
  });
});

async function namesIn(
  page: unknown,
  options: RegistryClientOptions = {},
): Promise<readonly string[]> {
  await using server = await serve((_, response) => response.end(JSON.stringify(page)));
  await using client = createRegistryClient({ plainHttp: true, ...options });
  const found = await Array.fromAsync(client.repositories(parseRegistryHost(server.host)));
  return found.map((one) => formatRepository(one).slice(server.host.length + 1));
}
