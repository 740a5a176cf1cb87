import { readFile } from "node:fs/promises";
import { get } from "node:https";
import { once } from "node:events";

import {
  type Fault,
  hasPeer,
  makeCertificates,
  startFaultyRegistry,
  tempDir,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const BODY = "hello, registry";

describe("a faulty registry", () => {
  test("answers by its script, and records what it was asked", async () => {
    await using registry = await startFaultyRegistry({
      script: ({ path, nth }) =>
        path === "/v2/"
          ? { status: nth === 1 ? 503 : 200, headers: { "X-Nth": `${nth}` } }
          : undefined,
    });
    const first = await fetch(`${registry.url}/v2/`);
    const second = await fetch(`${registry.url}/v2/`, { method: "GET" });
    const other = await fetch(`${registry.url}/other`, { method: "POST", body: BODY });
    expect([first.status, second.status, other.status]).toEqual([503, 200, 404]);
    expect(second.headers.get("x-nth")).toBe("2");
    expect(registry.requests.map(({ method, path, nth }) => [method, path, nth])).toEqual([
      ["GET", "/v2/", 1],
      ["GET", "/v2/", 2],
      ["POST", "/other", 1],
    ]);
    expect(registry.requests.at(-1)?.body.toString()).toBe(BODY);
  });

  test("cuts a body short of the length that it promised", async () => {
    await using registry = await serve({ type: "cut", after: 5 });
    const response = await fetch(registry.url);
    expect(response.headers.get("content-length")).toBe("15");
    expect(await readUntilEnd(response)).toEqual(["hello", "cut"]);
  });

  test("flips the bit that it is told to, and no other", async () => {
    await using registry = await serve({ type: "flip", bit: 8 });
    expect(await (await fetch(registry.url)).text()).toBe("hdllo, registry");
  });

  test("stalls, and ends all the same", async () => {
    const registry = await serve({ type: "stall", after: 5 });
    const read = readUntilEnd(await fetch(registry.url));
    await registry[Symbol.asyncDispose]();
    expect(await read).toEqual(["hello", "cut"]);
  });

  test("ends a connection without an answer, which may be at its script's throwing, too", async () => {
    await using reset = await serve({ type: "reset" });
    await expect(fetch(reset.url)).rejects.toThrow("fetch failed");
    await using throwing = await startFaultyRegistry({ script: () => expect.fail("on purpose") });
    await expect(fetch(throwing.url)).rejects.toThrow("fetch failed");
  });

  test("says the length that it is told to", async () => {
    await using registry = await startFaultyRegistry({
      script: () => ({
        headers: { "Content-Length": "20" },
        body: BODY,
        fault: { type: "cut", after: 15 },
      }),
    });
    const response = await fetch(registry.url);
    expect(response.headers.get("content-length")).toBe("20");
    expect(await readUntilEnd(response)).toEqual([BODY, "cut"]);
  });

  test.runIf(hasPeer("openssl"))("speaks TLS (if openssl is installed)", async () => {
    await using folder = await tempDir();
    const { authority, server: tls } = await makeCertificates(folder.path);
    await using registry = await startFaultyRegistry({ tls, script: () => ({ body: BODY }) });
    const request = get(registry.url, { ca: await readFile(authority), agent: false });
    const [response] = (await once(request, "response")) as [AsyncIterable<Uint8Array>];
    expect(Buffer.concat(await Array.fromAsync(response)).toString()).toBe(BODY);
  });
});

function serve(fault: Fault) {
  return startFaultyRegistry({ script: () => ({ body: BODY, fault }) });
}

async function readUntilEnd(response: Response): Promise<[text: string, end: "cut" | "whole"]> {
  let text = "";
  try {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
    return [text, "whole"];
  } catch {
    return [text, "cut"];
  }
}
