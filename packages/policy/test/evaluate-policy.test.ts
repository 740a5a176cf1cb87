import { digestOf } from "@stowage/content";
import {
  createPolicyEvaluator,
  formatVerdict,
  parsePolicy,
  PolicyError,
  type PolicyEvaluator,
} from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { describe, expect, test } from "vitest";

import { makeSigner } from "./support/sigstore-signer.ts";

const ACCEPT = { type: "insecureAcceptAnything" };
const REJECT = { type: "reject" };
const NO_KEY = { type: "signedBy", keyType: "GPGKeys", keyPath: "/k" };
const SIGSTORE = { type: "sigstoreSigned", keyData: makeSigner().data };
const UNCHECKED = [
  { type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } },
  { type: "signedBy", keyType: "X509Certificates", keyPath: "/k" },
] as const;
const DIGEST = `sha256:${"0".repeat(64)}`;

describe("evaluate", () => {
  test("allows by insecureAcceptAnything, and says by which scope", async () => {
    const { evaluate } = evaluator({ "q.io": [ACCEPT] });
    expect(await evaluate(docker("q.io/a"))).toEqual({
      allowed: true,
      transport: "docker",
      image: "q.io/a:latest",
      scope: { kind: "namespace", text: "q.io" },
      file: "/etc/policy.json",
      considered: [
        { kind: "identity", text: "q.io/a:latest", found: false },
        { kind: "namespace", text: "q.io/a", found: false },
        { kind: "namespace", text: "q.io", found: true },
      ],
      requirements: [{ type: "insecureAcceptAnything", allowed: true, reason: expect.any(String) }],
      places: [],
      audit: [],
    });
  });

  test("denies by reject, also by the default", async () => {
    const { evaluate } = evaluator({});
    expect(await evaluate(docker("q.io/a"))).toMatchObject({
      allowed: false,
      scope: { kind: "default", text: "" },
      requirements: [{ type: "reject", allowed: false }],
    });
  });

  test("E14 with requireSigned, allowing everything allows nothing", async () => {
    const { evaluate, requireAllowed } = evaluator({ "": [ACCEPT] });
    const options = { requireSigned: true };
    expect(await evaluate(docker("q.io/a"), options)).toMatchObject({
      allowed: false,
      unsigned: true,
      requirements: [{ allowed: true }],
    });
    await expect(requireAllowed(docker("q.io/a"), options)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      hint: expect.stringContaining("signature"),
    });
  });

  test("is bound to the manifest, the name and the policy's bytes", async () => {
    const digest = digestOf(new TextEncoder().encode("policy"));
    const policy = parsePolicy(JSON.stringify({ default: [ACCEPT] }));
    const { evaluate } = createPolicyEvaluator({ policy, digest });
    const manifestDigest = digestOf(new TextEncoder().encode("manifest"));
    expect(await evaluate({ ...docker("q.io/a"), manifestDigest })).toMatchObject({
      manifestDigest,
      image: "q.io/a:latest",
      policyDigest: digest,
    });
  });

  test("asks for signatures once, and only if a requirement needs them", async () => {
    let asked = 0;
    const signatures = {
      findSignatures: async () => {
        asked += 1;
        return { signatures: [], places: [] };
      },
    };
    const requirement = { type: "signedBy", keyType: "GPGKeys", keyPaths: [] };
    const evaluateWith = (requirements: readonly object[]) =>
      createPolicyEvaluator({
        policy: parsePolicy(JSON.stringify({ default: requirements })),
        signatures,
      }).evaluate(docker("q.io/a"));
    await evaluateWith([ACCEPT, REJECT]);
    expect(asked).toBe(0);
    expect((await evaluateWith([requirement, requirement])).allowed).toBe(false);
    expect(asked).toBe(1);
  });

  test("S17, S18 signatures that cannot be read are an error, and not absent", async () => {
    const failure = new Error("the registry is down");
    const { evaluate, requireAllowed } = createPolicyEvaluator({
      policy: parsePolicy(
        JSON.stringify({ default: [{ type: "signedBy", keyType: "GPGKeys", keyPaths: [] }] }),
      ),
      signatures: { findSignatures: () => Promise.reject(failure) },
    });
    await expect(evaluate(docker("q.io/a"))).rejects.toBe(failure);
    await expect(requireAllowed(docker("q.io/a"))).rejects.toBe(failure);
  });

  test("a key that is none denies its requirement, and the others are asked still", async () => {
    const verdict = await evaluator({ "": [NO_KEY, ACCEPT] }).evaluate(docker("q.io/a"));
    expect(verdict.requirements).toMatchObject([
      { allowed: false, reason: "/k is not there", cause: { code: "ERR_POLICY_INVALID_KEY" } },
      { allowed: true },
    ]);
  });

  test.for(UNCHECKED)(
    "R19 never allows by $type, and says that it is not checked",
    async (kind) => {
      const verdict = await evaluator({ "": [kind] }).evaluate(docker("q.io/a"));
      expect(verdict.allowed).toBe(false);
      expect(verdict.requirements[0]?.reason).toMatch(/cannot be checked/);
    },
  );

  test("P10 asks every requirement, and says what each says", async () => {
    const { evaluate } = evaluator({ "": [ACCEPT, UNCHECKED[0], ACCEPT] });
    const verdict = await evaluate(docker("q.io/a"));
    expect(verdict.allowed).toBe(false);
    expect(verdict.requirements.map(({ allowed }) => allowed)).toEqual([true, false, true]);
  });

  test("R3 with tag and digest the digest decides", async () => {
    const { evaluate } = evaluator({ "q.io/a:1": [ACCEPT], [`q.io/a@${DIGEST}`]: [REJECT] });
    expect(await evaluate(docker(`q.io/a:1@${DIGEST}`))).toMatchObject({
      allowed: false,
      image: `q.io/a@${DIGEST}`,
      scope: { kind: "identity" },
    });
  });

  test("judges images in files by their paths", async () => {
    const policy = parsePolicy(
      JSON.stringify({
        default: [REJECT],
        transports: { oci: { "/srv": [ACCEPT] }, "docker-archive": { "": [ACCEPT] } },
      }),
    );
    const { evaluate } = createPolicyEvaluator({ policy });
    expect((await evaluate({ transport: "oci", path: "/srv/a" })).allowed).toBe(true);
    expect((await evaluate({ transport: "dir", path: "/srv/a" })).allowed).toBe(false);
    expect(await evaluate({ transport: "docker-archive" })).toMatchObject({
      allowed: true,
      image: "",
      scope: { kind: "transport" },
    });
  });

  test("rejects with the reason of its signal", async () => {
    const reason = new Error("shutting down");
    const signal = AbortSignal.abort(reason);
    const { evaluate } = evaluator({});
    await expect(evaluate(docker("q.io/a"), { signal })).rejects.toBe(reason);
  });
});

describe("signatures that cannot be read", () => {
  test("decide nothing, and what is known all the same comes with the error", async () => {
    const failure = new PolicyError("ERR_POLICY_SIGNATURES_UNAVAILABLE", "down", { hint: "wait" });
    const { evaluate, requireAllowed } = createPolicyEvaluator({
      policy: parsePolicy(JSON.stringify({ default: [ACCEPT, SIGSTORE, REJECT, SIGSTORE] })),
      signatures: { findSignatures: () => Promise.reject(failure) },
    });
    for (const ask of [evaluate, requireAllowed]) {
      const error = await ask(docker("q.io/a")).catch((error: unknown) => error);
      expect(error).toMatchObject({ code: failure.code, message: "down", hint: "wait" });
      const { verdict } = error as PolicyError;
      expect(verdict).toMatchObject({
        allowed: false,
        undecided: true,
        requirements: [{ allowed: true }, { allowed: false }, { type: "reject" }, {}],
      });
      const text = verdict === undefined ? "" : formatVerdict(verdict);
      expect(text).toMatch(/^q\.io\/a:latest is NOT DECIDED by the policy\n {2}scope: the default/);
      expect(text).toContain("requirement 2 of 4, sigstoreSigned: DENIES: nobody knows");
      expect(text).not.toMatch(/To trust it|down/);
    }
  });
});

describe("requireAllowed", () => {
  test("resolves to the verdict if the image may be used", async () => {
    const { requireAllowed } = evaluator({ "q.io/a": [ACCEPT] });
    expect(await requireAllowed(docker("q.io/a:1"))).toMatchObject({ allowed: true });
  });

  test("R19 says which file, which scope, which requirement, and what would pass", async () => {
    const { requireAllowed } = evaluator({ "q.io/a": [ACCEPT, REJECT] });
    await expect(requireAllowed(docker("q.io/a/b:1"))).rejects.toMatchObject({
      name: "PolicyError",
      code: "ERR_POLICY_REJECTED",
      kind: "PolicyRejected",
      message:
        'q.io/a/b:1 is rejected by policy (/etc/policy.json, scope "q.io/a" of docker, requirement 2 of 2, reject: it denies every image)',
      hint: expect.stringContaining("remove requirement 2 (/etc/policy.json"),
      verdict: { allowed: false, scope: { kind: "namespace", text: "q.io/a" } },
    });
  });

  test.for(UNCHECKED)("fails closed on $type", async (kind) => {
    const { requireAllowed } = evaluator({ "": [kind] });
    await expect(requireAllowed(docker("q.io/a"))).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
    });
  });

  test("says so where no scope covers the image", async () => {
    const { requireAllowed } = evaluator({});
    await expect(requireAllowed(docker("q.io/a"))).rejects.toThrow(/the default, because no scope/);
  });
});

function evaluator(scopes: Readonly<Record<string, readonly object[]>>): PolicyEvaluator {
  const document = { default: [REJECT], transports: { docker: scopes } };
  const policy = parsePolicy(JSON.stringify(document));
  return createPolicyEvaluator({ policy, file: "/etc/policy.json" });
}

function docker(text: string) {
  return { transport: "docker", reference: parseReference(text) } as const;
}
