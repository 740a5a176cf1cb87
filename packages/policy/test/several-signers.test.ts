import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { createPolicyEvaluator, formatVerdict, parsePolicy } from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { MANIFEST_DIGEST } from "./support/judged-image.ts";
import { cosignSign, makeSigner, type Signer } from "./support/sigstore-signer.ts";
import { temporaryDirectory } from "./support/temporary-directory.ts";

const WHERE = 'the policy, line 1, transports.docker["q.io/a"]';

describe("of several signers, one", () => {
  let folder: Awaited<ReturnType<typeof temporaryDirectory>>;
  const alice = makeSigner();
  const bob = makeSigner();
  let [a, b]: readonly object[] = [];
  let pathOf: (name: string) => string;

  beforeAll(async () => {
    folder = await temporaryDirectory();
    pathOf = (name) => join(folder.path, `${name}.pem`);
    await writeFile(pathOf("alice"), alice.pem);
    await writeFile(pathOf("bob"), bob.pem);
    [a, b] = ["alice", "bob"].map((name) => ({ type: "sigstoreSigned", keyPath: pathOf(name) }));
  });

  afterAll(() => folder[Symbol.asyncDispose]());

  function asked(requirements: unknown, signers: readonly Signer[]) {
    const policy = {
      default: [{ type: "reject" }],
      transports: { docker: { "q.io/a": requirements } },
    };
    const signatures = signers.map((signer) => cosignSign(signer));
    const { evaluate } = createPolicyEvaluator({
      policy: parsePolicy(JSON.stringify(policy)),
      signatures: { findSignatures: async () => ({ signatures, places: [] }) },
    });
    const reference = parseReference("q.io/a/b:1");
    return evaluate({ transport: "docker", reference, manifestDigest: MANIFEST_DIGEST });
  }

  test.for([
    [0, 1],
    [1, 0],
  ] as const)("has signed: requirement %i is met, and %i wants one of its own", async (order) => {
    const [met, open] = order;
    const rules = met === 0 ? [a, b] : [b, a];
    const verdict = await asked(rules, [alice]);
    const remedy = verdict.requirements[open]?.remedy ?? "";
    expect(remedy).toContain(`All requirements of ${WHERE} have to be met`);
    expect(remedy).toContain(`as well by a key of [${open}] (${pathOf("bob")}).`);
    expect(remedy).not.toContain("if you trust its signer");
    expect(formatVerdict(verdict)).toContain(remedy);
    expect((await asked(rules, [alice, bob])).allowed).toBe(true);
    // If either is to do, what is said of that makes one do.
    const [, list = ""] =
      new RegExp(
        String.raw`remove \[${open}\], and write "keyPaths": (\[.*\]) in place of the "keyPath" of \[${met}\]\.`,
      ).exec(remedy) ?? [];
    const either = [{ type: "sigstoreSigned", keyPaths: JSON.parse(list) }];
    expect((await asked(either, [alice])).allowed).toBe(true);
    expect((await asked(either, [bob])).allowed).toBe(true);
  });

  test("below a threshold has signed: one of the others has to as well", async () => {
    const anyOf = { type: "anyOf", requirements: [b, a], threshold: 2 };
    const verdict = await asked([anyOf], [alice]);
    const { remedy, requirements = [] } = verdict.requirements[0] ?? {};
    expect(remedy).toContain(`All requirements of ${WHERE}[0] have to be met`);
    expect(remedy).toContain(`as well by a key of requirements[0] (${pathOf("bob")}).`);
    expect(remedy).not.toMatch(/keyPaths|if you trust/);
    expect(requirements[0]?.remedy).toBe(remedy);
    expect((await asked([anyOf], [bob, alice])).allowed).toBe(true);
  });

  test("below a threshold of fewer than there are, any of the others will do", async () => {
    const carol = makeSigner();
    const c = { type: "sigstoreSigned", keyData: carol.data };
    const anyOf = { type: "anyOf", requirements: [a, b, c], threshold: 2 };
    const { remedy } = (await asked([anyOf], [alice])).requirements[0] ?? {};
    expect(remedy).toMatch(
      /^One of these is enough\. .*key of requirements\[1\].*requirements\[2\]/,
    );
    expect(remedy).toContain("2 requirements of");
    expect((await asked([anyOf], [alice, carol])).allowed).toBe(true);
  });

  test("is no reason for anything where none was met, or enough were", async () => {
    const none = await asked([a, b], [makeSigner()]);
    expect(none.requirements[1]?.remedy).toContain("if you trust its signer");
    const enough = await asked([{ type: "anyOf", requirements: [a, b] }], [alice]);
    expect(JSON.stringify(enough)).not.toContain("have to be met");
  });
});

describe("by a key that the policy does not have", () => {
  const [alice, bob] = [makeSigner(), makeSigner()];
  const rule = { type: "sigstoreSigned", keyPath: "/k/alice.pem" };
  const signatures = [cosignSign(bob)];

  async function remedyOf(requirement: object): Promise<string> {
    const { evaluate } = createPolicyEvaluator({
      policy: parsePolicy(JSON.stringify({ default: [requirement] })),
      signatures: { findSignatures: async () => ({ signatures, places: [] }) },
      readKeyFile: async () => Buffer.from(alice.pem),
    });
    const reference = parseReference("q.io/a/b:1");
    const subject = { transport: "docker", reference, manifestDigest: MANIFEST_DIGEST } as const;
    return (await evaluate(subject)).requirements[0]?.remedy ?? "";
  }

  test.for([
    [{ keyPath: "/k/alice.pem" }, 'if "/k/alice.pem" is the mistake, write "PATH" in its place'],
    [{ keyPaths: ["/k/alice.pem"] }, 'if one of its "keyPaths" is the mistake, write "PATH" in'],
    [{ keyData: alice.data }, 'if its "keyData" is the mistake, write "DATA" in its place'],
    [{ keyDatas: [alice.data] }, 'if one of its "keyDatas" is the mistake, write "DATA" in its'],
  ] as const)("says how to correct %j, or to add to it", async ([keys, words]) => {
    const remedy = await remedyOf({ type: "sigstoreSigned", ...keys });
    expect(remedy).toContain(words);
    expect(remedy).toMatch(/; if (?:both|all) are to count, (?:write|add) "/);
  });

  test("says of a requirement of its own only where that would do no good", async () => {
    const words = "A requirement of its own would not do";
    expect(await remedyOf(rule)).toContain(words);
    const inside = await remedyOf({ type: "anyOf", requirements: [rule] });
    expect(inside).toContain("if you trust its signer");
    expect(inside).not.toContain(words);
  });
});
