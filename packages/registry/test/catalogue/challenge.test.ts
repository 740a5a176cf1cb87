import { readFile } from "node:fs/promises";

import { makeCertificates, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openStage } from "../support/stage.ts";

const hostile = (value: string | readonly string[]) => [
  { status: 401 },
  { headers: { "www-authenticate": value } },
];

describe("a challenge", () => {
  test("H01 HTML from /v2/ does not matter, and HTML in place of a manifest is told to nobody", async () => {
    const html = "<html><script>canary-html</script>";
    await using stage = await openStage({ plainHttp: false, tls: { verify: false } });
    stage.registry.rules.push({ match: { path: "/v2/" }, do: [{ body: html }] });
    await stage.fetchManifest();
    expect(stage.registry.requests.some(({ path }) => path === "/v2/")).toBe(true);
    for (const [status, kind] of [
      [200, "ManifestInvalid"],
      [404, "RegistryNotFound"],
    ] as const) {
      stage.fault(/manifests/u, [{ status }, { body: html }], { nth: 1 });
      const { message } = await stage.refuses(kind, () => stage.fetchManifest());
      expect(message).not.toContain("canary-html");
    }
  });

  test.for([
    ["none", []],
    ["an empty one", ""],
    ["an unknown scheme", "Negotiate abc=="],
    ["fifty", Array.from({ length: 50 }, (_, at) => `Scheme${at} realm="x"`)],
  ] as const)("H02 %s: AuthFailed, and nothing is asked again", async ([, value]) => {
    await using stage = await openStage();
    stage.registry.rules.push({ do: hostile(value) });
    await stage.refuses("AuthFailed", () => stage.fetchManifest());
    expect(stage.registry.requests).toHaveLength(1);
    expect(stage.tokens.requests).toEqual([]);
  });

  test("H03 a realm without TLS for a registry with TLS: nothing is sent there", async () => {
    await using folder = await tempDir();
    const files = await makeCertificates(folder.path);
    const ca = await readFile(files.authority, "utf8");
    await using stage = await openStage({ certificates: { files, ca } });
    const realm = stage.tokens.url.replace("https:", "http:");
    stage.registry.rules.push({ do: hostile(`Bearer realm="${realm}/token"`) });
    await stage.refuses("AuthRealmRefused", () => stage.fetchManifest());
    expect(stage.tokens.accepted).toBe(0);
  });

  test.for([
    "file:///etc/shadow",
    "gopher://127.0.0.4/",
    "javascript:alert(1)",
    "https://u:canary-realm@127.0.0.4/",
    "//127.0.0.4/token",
    "/token",
    "token",
    "",
  ])("H04 V02 the realm %j is refused", async (realm) => {
    await using stage = await openStage();
    stage.registry.rules.push({ do: hostile(`Bearer realm="${realm}"`) });
    const failure = await stage.refuses("AuthRealmRefused", () => stage.fetchManifest());
    expect(failure["message"]).not.toContain("canary-realm");
    expect(stage.attacker.accepted).toBe(0);
  });

  test.for(["http://169.254.169.254/token", "http://[::ffff:a9fe:a9fe]/", "http://[fe80::1]/"])(
    "H05 V02 %s, where clouds keep their secrets, is refused whoever names it",
    async (realm) => {
      await using stage = await openStage();
      stage.registry.rules.push({ do: hostile(`Bearer realm="${realm}"`) });
      await stage.refuses("AuthRealmRefused", () => stage.fetchManifest());
    },
  );

  test.for([
    ["unbalanced quotes", 'Bearer realm="http://127.0.0.4'],
    ["an escape at the end", 'Bearer realm="\\'],
    ["a realm twice", 'Bearer realm="http://127.0.0.4/",realm="http://127.0.0.2/"'],
    ["15 kB of commas", ",".repeat(15_000)],
    ["15 kB of a value", `Bearer realm="${"x".repeat(15_000)}`],
    ["parameters without a scheme", 'realm="http://127.0.0.4/"'],
  ] as const)("H07 %s: AuthFailed, and nothing is sent", async ([, value]) => {
    await using stage = await openStage();
    stage.registry.rules.push({ do: hostile(value) });
    await stage.refuses("AuthFailed", () => stage.fetchManifest());
    expect(stage.attacker.accepted + stage.tokens.accepted).toBe(0);
  });

  test("H07 escapes, spaces in a scope and other parameters are read as they are meant", async () => {
    await using stage = await openStage();
    const rest = String.raw`service="\i\t",scope="repository:team/app:pull  repository:x:pull"`;
    stage.registry.rules.push({
      match: { nth: 1 },
      do: hostile(`Other x=y, BEARER  Realm="${stage.tokens.url}/token" , ${rest}`),
    });
    await stage.fetchManifest();
    expect(stage.tokens.requests[0]?.path).toContain("service=it&");
  });

  test("H07 64 kB of a header is refused before it is read", async () => {
    await using stage = await openStage();
    stage.registry.rules.push({ do: hostile(`Bearer realm="${"x".repeat(65_536)}"`) });
    await stage.refuses("RegistryProtocol", () => stage.fetchManifest());
  });

  test("H10 401 for ever, with a new scope each time: two tokens, and AuthFailed", async () => {
    await using stage = await openStage();
    const { tokens } = stage;
    for (let nth = 1; nth <= 5; nth += 1) {
      const challenge = `Bearer realm="${tokens.url}/token",scope="repository:team/app:more${nth}"`;
      stage.registry.rules.push({ match: { nth: 1 }, do: hostile(challenge) });
    }
    await stage.refuses("AuthFailed", () => stage.fetchManifest());
    expect(tokens.requests.length).toBeLessThanOrEqual(2);
  });

  test("H11 V14 a scope of another repository is not asked for", async () => {
    await using stage = await openStage();
    const scope = 'error="insufficient_scope",scope="repository:other/secret:pull,push,delete"';
    const value = `Bearer realm="${stage.tokens.url}/token",${scope}`;
    stage.registry.rules.push({ do: hostile(value) });
    await stage.refuses("AuthFailed", () => stage.fetchManifest());
    expect(stage.tokens.requests).toEqual([]);
  });
});
