import { startFaultyRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openStage, SECRETS } from "../support/stage.ts";

const SIGNED = `?X-Amz-Signature=${SECRETS.signature}&x=1`;
const ANY = /manifests|hop/u;

describe("a redirect", () => {
  test.for([301, 302, 303, 307, 308])("H16 %i: five are followed, by GET", async (status) => {
    await using stage = await openStage();
    for (let hop = 1; hop <= 5; hop += 1) {
      stage.fault(ANY, [{ status }, { redirect: `/hop/${hop}` }], { nth: 1 });
    }
    stage.fault(/hop/u, [{ body: stage.image.manifest }]);
    await stage.fetchManifest();
    const methods = stage.registry.requests.map(({ method }) => method);
    expect(methods).toEqual(Array(7).fill("GET"));
  });

  test.for([
    ["a sixth", "/hop/"],
    ["a circle", "/v2/team/app/manifests/latest"],
  ] as const)("H16 N17 %s is RedirectRefused", async ([, redirect]) => {
    await using stage = await openStage();
    stage.fault(ANY, [{ redirect }]);
    await stage.refuses("RedirectRefused", () => stage.fetchManifest());
    expect(stage.registry.requests).toHaveLength(7);
  });

  test.for([
    ["another address", ({ blobs }) => blobs.url],
    ["another name of the same", ({ registry }) => registry.url.replace("127.0.0.1", "localhost")],
    ["its name in capitals", ({ registry }) => registry.url.replace("127.0.0.1", "LOCALHOST")],
  ] as const satisfies readonly [
    string,
    (stage: Awaited<ReturnType<typeof openStage>>) => string,
  ][])("H17 V04 to %s takes no credential, cookie or header of ours along", async ([, origin]) => {
    await using stage = await openStage();
    const cookies = { "set-cookie": `session=${SECRETS.signature}; Domain=127.0.0.1` };
    stage.fault(/manifests/u, [
      { headers: cookies },
      { redirect: `${origin(stage)}/elsewhere/${SIGNED}` },
    ]);
    const { manifest } = stage.image;
    stage.blobs.rules.push({ do: [{ headers: cookies }, { body: manifest }] });
    stage.registry.rules.push({ match: { path: /elsewhere/u }, do: [{ body: manifest }] });
    await stage.fetchManifest();
    const [sent] = [...stage.blobs.requests, ...stage.registry.requests].filter(({ path }) =>
      path.startsWith("/elsewhere"),
    );
    expect(Object.keys(sent?.headers ?? {}).sort()).toEqual([
      "accept",
      "accept-encoding",
      "connection",
      "host",
      "user-agent",
    ]);
  });

  test.for([
    "file:///etc/passwd",
    "gopher://127.0.0.4/",
    `http://user:${SECRETS.password}@127.0.0.4/`,
    "http://[",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/",
  ])("H17 to %s is RedirectRefused", async (redirect) => {
    await using stage = await openStage();
    stage.fault(/manifests/u, [{ redirect }]);
    await stage.refuses("RedirectRefused", () => stage.fetchManifest());
    expect(stage.attacker.accepted).toBe(0);
  });

  test.for([
    ["no Location", {}],
    ["two", { location: ["/a", "/b"] }],
    ["10 kB of it", { location: `/${"x".repeat(10_000)}` }],
  ] as const)("H18 with %s is RegistryProtocol", async ([, headers]) => {
    await using stage = await openStage();
    stage.fault(/manifests/u, [{ status: 302 }, { headers }]);
    await stage.refuses("RegistryProtocol", () => stage.fetchManifest());
    expect(stage.registry.requests).toHaveLength(2);
  });

  test.for([
    ["100 kB of it", `Location: /${"x".repeat(100_000)}\r\n`],
    ["CRLF in it", "Location: /a\r\n /b\r\n"],
    ["a bare CR in it", "Location: /a\rX-Evil: 1\r\n"],
  ] as const)("H18 with %s is RegistryProtocol", async ([, header]) => {
    await using stage = await openStage();
    const { repository } = await stage.raw((socket) =>
      socket.end(`HTTP/1.1 302 Found\r\n${header}Content-Length: 0\r\n\r\n`),
    );
    await stage.refuses("RegistryProtocol", () => stage.readLayer(repository));
  });

  test("H38 Set-Cookie is kept by nobody", async () => {
    await using stage = await openStage();
    const headers = { "set-cookie": ["a=b; Path=/", `c=${SECRETS.signature}`] };
    stage.blobs.rules.push({ do: [{ headers }, { body: stage.layer.bytes }] });
    stage.fault(/blobs/u, [{ headers }, { redirect: `${stage.blobs.url}/x` }]);
    await stage.readLayer();
    await stage.readLayer();
    const all = [...stage.blobs.requests, ...stage.registry.requests];
    expect(all.map(({ headers: { cookie } }) => cookie)).toEqual(all.map(() => undefined));
  });

  test("V01 a host that challenges gets no answer, and no second request", async () => {
    await using stage = await openStage();
    stage.fault(/blobs/u, [{ redirect: `${stage.attacker.url}/layer` }]);
    await stage.refuses("AuthFailed", () => stage.readLayer());
    expect(stage.attacker.requests).toHaveLength(1);
  });

  test("V09 a signature that its server repeats is told to nobody", async () => {
    await using stage = await openStage();
    stage.fault(/blobs/u, [{ redirect: `${stage.blobs.url}/layer${SIGNED}` }]);
    const message = `no: ${SIGNED} ${SECRETS.signature} ${SECRETS.token} ${SECRETS.password}`;
    const body = JSON.stringify({ errors: [{ code: "DENIED", message }] });
    stage.blobs.rules.push({ do: [{ status: 403 }, { body }] });
    const { diagnostics } = await stage.refuses("AuthFailed", () => stage.readLayer());
    expect(diagnostics).toMatchObject([
      { code: "DENIED", message: expect.stringContaining("no: ") },
    ]);
  });

  test("N15 to a host that is down: a fresh one is asked for", async () => {
    await using stage = await openStage();
    const down = await startFaultyRegistry({ address: "127.0.0.5" });
    await down[Symbol.asyncDispose]();
    stage.fault(/blobs/u, [{ redirect: `${down.url}/x` }], { nth: 1 });
    stage.fault(/blobs/u, [{ redirect: `${stage.blobs.url}${layerPath(stage)}` }]);
    await stage.readLayer();
    expect(stage.events.map(({ type }) => type)).toContain("retry");
  });

  test("N16 whose signature expires: a break is resumed by way of a new one", async () => {
    await using stage = await openStage({ size: 3_000_000 });
    const { bytes } = stage.layer;
    const path = layerPath(stage);
    stage.fault(/blobs/u, [{ redirect: `${stage.blobs.url}${path}?sign=first` }], { nth: 1 });
    stage.fault(/blobs/u, [{ redirect: `${stage.blobs.url}${path}?sign=second` }]);
    stage.blobs.rules.push(
      {
        match: { path: /first/u, nth: 1 },
        do: [
          { headers: { etag: '"one"' } },
          { body: bytes },
          { sendBytes: 1_500_000 },
          { sleep: 50 },
          { reset: true },
        ],
      },
      { match: { path: /first/u }, do: [{ status: 403 }] },
    );
    await stage.readLayer();
    const asked = stage.blobs.requests.map(({ path: asking, headers }) => [
      new URL(asking, "http://x").searchParams.get("sign"),
      headers.range !== undefined,
    ]);
    expect(asked).toEqual([
      ["first", false],
      ["second", true],
    ]);
  });
});

function layerPath({ layer }: Awaited<ReturnType<typeof openStage>>): string {
  return `/v2/team/app/blobs/${layer.descriptor.digest}`;
}
