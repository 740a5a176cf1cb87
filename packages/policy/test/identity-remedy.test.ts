import { describe, expect, test } from "vitest";

import { judgeImage, judgeOne, MANIFEST_DIGEST, payloadOf } from "./support/judged-image.ts";
import { COSIGN_PAYLOAD, cosignSign, makeSigner } from "./support/sigstore-signer.ts";

const ALICE = makeSigner();
const DIGEST_OF = `q.io/a/b@${MANIFEST_DIGEST}`;

describe("a signature for another name", () => {
  test.for([
    ["q.io/a/b:1", "matchRepoDigestOrExact", "q.io/a/b:2", { type: "matchRepository" }],
    ["q.io/a/b:1", "matchExact", "q.io/a/b", { type: "matchRepository" }],
    [DIGEST_OF, "matchExact", "q.io/a/b:2", { type: "matchRepoDigestOrExact" }],
    [
      "q.io/a/b:1",
      "matchRepository",
      "m.io:5000/mirror/a/b:1",
      { type: "remapIdentity", prefix: "q.io", signedPrefix: "m.io:5000/mirror" },
    ],
    [
      "q.io/a/b:1",
      "matchRepoDigestOrExact",
      "m.io/c/b:1",
      { type: "remapIdentity", prefix: "q.io/a", signedPrefix: "m.io/c" },
    ],
    [
      "q.io/a/b:1",
      "matchExact",
      "m.io/c/d:1",
      { type: "exactRepository", dockerRepository: "m.io/c/d" },
    ],
    [
      "q.io/a/b:1",
      "matchRepository",
      "m.io/a/b",
      { type: "exactRepository", dockerRepository: "m.io/a/b" },
    ],
  ] as const)("asked as %s, %s, signed as %s, counts with what is told", async (row) => {
    const [asked, type, claimed, told] = row;
    const judge = async (signedIdentity: object) => {
      const signature = cosignSign(ALICE, {
        payload: payloadOf({ type: COSIGN_PAYLOAD, name: claimed }),
      });
      const rule = { type: "sigstoreSigned", keyData: ALICE.data, signedIdentity };
      return await judgeOne(rule, signature, { image: asked });
    };
    const { allowed, remedy = "" } = await judge({ type });
    expect(allowed).toBe(false);
    const written = [...remedy.matchAll(/"signedIdentity": (\{[^}]*\})/g)].map(
      ([, json]) => JSON.parse(json ?? "") as object,
    );
    expect(written).toContainEqual(told);
    for (const identity of written) expect((await judge(identity)).allowed).toBe(true);
  });

  const judgeNamed = async (signedIdentity: object, image: string, name = "q.io/a/b:1") => {
    const payload = payloadOf({ type: COSIGN_PAYLOAD, name });
    const rule = { type: "sigstoreSigned", keyData: ALICE.data, signedIdentity };
    return await judgeOne(rule, cosignSign(ALICE, { payload }), { image });
  };

  test("says so of prefixes that are the wrong way round, and of no others", async () => {
    const swapped = { type: "remapIdentity", prefix: "q.io", signedPrefix: "m.io" };
    const { allowed, remedy = "" } = await judgeNamed(swapped, "m.io/a/b:1");
    expect(allowed).toBe(false);
    expect(remedy).toContain(
      "prefix and signedPrefix of the policy, line 1, default[0] are the wrong way",
    );
    const [, identity = ""] = /set "signedIdentity": (\{[^}]*\})\.$/.exec(remedy) ?? [];
    expect((await judgeNamed(JSON.parse(identity), "m.io/a/b:1")).allowed).toBe(true);
    expect((await judgeNamed(swapped, "n.io/a/b:1")).remedy).not.toContain("wrong way round");
  });

  test("has a copy's tag signed, or asked for as signed, where its prefix is exchanged already", async () => {
    const mapped = { type: "remapIdentity", prefix: "m.io/a/copy", signedPrefix: "q.io/a/b" };
    expect((await judgeNamed(mapped, "m.io/a/copy:1")).allowed).toBe(true);
    const { allowed, remedy } = await judgeNamed(mapped, "m.io/a/copy:2");
    expect(allowed).toBe(false);
    expect(remedy).toMatch(/the tag that was signed, as in q\.io\/a\/b:1/);
    expect(remedy).not.toContain("signedIdentity");
    const other = await judgeNamed(mapped, "m.io/a/copying:1");
    expect(other.remedy).toContain("signedIdentity");
  });

  test("has the other tag signed before it has any tag accepted", async () => {
    const { remedy } = await judgeNamed({ type: "matchRepoDigestOrExact" }, "q.io/a/b:latest");
    expect(remedy).toMatch(
      /^Have it signed as q\.io\/a\/b:latest as well, or ask for it as q\.io\/a\/b:1; or, .*matchRepository/,
    );
  });

  test("shows no data of keys, nor a key where its path belongs: either may be private", async () => {
    const [alice, bob] = [ALICE.data, "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE"];
    const payload = payloadOf({ type: COSIGN_PAYLOAD, name: "m.io/c/d:1" });
    const rules = [
      { type: "sigstoreSigned", keyData: alice },
      { type: "sigstoreSigned", keyDatas: [alice, alice] },
      { type: "signedBy", keyType: "GPGKeys", keyPath: bob },
    ];
    const verdict = await judgeImage(rules, [cosignSign(ALICE, { payload })]);
    const { remedy = "" } = verdict.requirements[0] ?? {};
    expect(remedy).toContain(
      '"q.io/a/b": [{"type": "sigstoreSigned", "keyData": "…", "signedIdentity"',
    );
    expect(remedy).toContain('"…" being what the default has');
    for (const secret of [alice.slice(0, 40), "MHcCAQEE"]) expect(remedy).not.toContain(secret);
  });
});
