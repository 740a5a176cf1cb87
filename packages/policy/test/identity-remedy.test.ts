import { describe, expect, test } from "vitest";

import { judgeOne, MANIFEST_DIGEST, payloadOf } from "./support/judged-image.ts";
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
});
