import { parseRepository } from "@stowage/reference";
import { createRegistryClient, type RegistryEvent } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { type ScriptedServer, serve } from "./support/scripted-server.ts";

describe("tags", () => {
  test("R17 follows the pages of its own list", async () => {
    await using server = await serve((request, response, { origin }) => {
      const last = new URL(request.url ?? "", origin).searchParams.get("last");
      if (last === null) response.setHeader("link", '</v2/team/app/tags/list?last=b>; rel="next"');
      response.end(JSON.stringify({ tags: last === null ? ["a", "b"] : ["c"] }));
    });
    expect(await tagsOf(server)).toEqual(["a", "b", "c"]);
  });

  test.for([
    ["</v2/other/app/tags/list?n=1>; rel=next"],
    ["</v2/team/app/../../x>; rel=next"],
    ["<//evil.example/v2/x>; rel=next"],
    ["</v2/team/app/tags/list>; rel=next"],
  ] as const)("H32 V15 Link %s is RegistryProtocol", async ([link]) => {
    await using server = await serve((_, response) => {
      response.setHeader("link", link);
      response.end('{"tags":["a"]}');
    });
    await expect(tagsOf(server)).rejects.toMatchObject({ kind: "RegistryProtocol" });
  });

  test("V15 of a link to another host only path and query are taken", async () => {
    await using evil = await serve((_, response) => response.end('{"tags":["evil"]}'));
    await using server = await serve((request, response) => {
      if (request.url?.includes("n=2") === true) return response.end('{"tags":["b"]}');
      response.setHeader("link", `<${evil.origin}/v2/team/app/tags/list?n=2>; rel="next"`);
      return response.end('{"tags":["a"]}');
    });
    expect(await tagsOf(server)).toEqual(["a", "b"]);
    expect(evil.requests).toEqual([]);
  });

  test("H32 endless pages end at a thousand", async () => {
    await using server = await serve((_, response, { requests }) => {
      const link = `</v2/team/app/tags/list?n=${requests.length}>; rel=next`;
      response.writeHead(200, { link }).end('{"tags":[]}');
    });
    await expect(tagsOf(server)).rejects.toMatchObject({ kind: "LimitExceeded" });
    expect(server.requests).toHaveLength(1000);
  });

  test("H33 what is no tag is left out, and counted", async () => {
    await using server = await serve((_, response) =>
      response.end(JSON.stringify({ tags: ["ok", "a/b", "a\nb", "", 7, null] })),
    );
    const events: RegistryEvent[] = [];
    expect(await tagsOf(server, events)).toEqual(["ok"]);
    expect(events).toEqual([{ type: "tags-skipped", count: 5 }]);
  });

  test.for([
    ['{"tags":null}', undefined],
    ["{}", "RegistryProtocol"],
    ['{"tags":{}}', "RegistryProtocol"],
    ["[".repeat(100_000), "RegistryProtocol"],
    ["<html>", "RegistryProtocol"],
    [JSON.stringify({ tags: Array(100_001).fill("a") }), "LimitExceeded"],
    [JSON.stringify({ tags: ["x".repeat(4 * 1024 * 1024)] }), "LimitExceeded"],
  ] as const)("H33 a page of %.20s: %s", async ([page, kind]) => {
    await using server = await serve((_, response) => response.end(page));
    if (kind === undefined) expect(await tagsOf(server)).toEqual([]);
    else await expect(tagsOf(server)).rejects.toMatchObject({ kind });
  });
});

async function tagsOf(server: ScriptedServer, events: RegistryEvent[] = []): Promise<string[]> {
  await using client = createRegistryClient({
    plainHttp: true,
    onEvent: (event) => events.push(event),
  });
  const repository = client.repository(parseRepository(`${server.host}/team/app`));
  return await Array.fromAsync(repository.tags());
}
