import { readFileSync } from "node:fs";

import {
  chooseRequirements,
  createPolicyEvaluator,
  directoryScopes,
  dockerScopes,
  type ImageScopes,
  ociLayoutScopes,
  parsePolicy,
  type PolicyScope,
  scopesOf,
} from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { describe, expect, test } from "vitest";

/** Kinds that are about signatures; nothing is verified yet, so nothing of them can be asked. */
const SIGNATURE_KINDS: Readonly<Record<string, string>> = {
  authors: "asks whose signatures count",
  e2e: "needs signed images",
  lookasideURL: "places of simple signatures",
  registriesd: "places of simple signatures",
  sigstorePayload: "contents of sigstore signatures",
  simpleSigningPayload: "contents of simple signatures",
};

/** Evaluations that only a verified signature, or an option about them, decides. */
const SIGNATURE_EVALUATIONS: Readonly<Record<string, string>> = {
  "POL-E07": "reports why one signature fails",
  "POL-E09": "allows by a verified signature",
  "POL-E14": "asks that a signature was verified",
};

interface Vector {
  readonly id: string;
  readonly input: Readonly<Record<string, unknown>> & { readonly kind: string };
  readonly expect: Readonly<Record<string, unknown>>;
  readonly why: string;
}

const VECTORS: readonly Vector[] = JSON.parse(
  readFileSync(new URL("vectors/policy.json", import.meta.url), "utf8"),
);
const REJECT = [{ type: "reject" }];

test("every kind of vector is either run or put off by name", () => {
  const run = ["parse", "scope", "identity", "evaluate"];
  const kinds = new Set(VECTORS.map(({ input }) => input.kind));
  expect([...kinds].filter((kind) => !run.includes(kind)).sort()).toEqual(
    Object.keys(SIGNATURE_KINDS).sort(),
  );
});

describe("policy.json, parse", () => {
  test.for(ofKind("parse"))("$id $why", ({ input, expect: expected }) => {
    const parse = () => parsePolicy(String(input["policy"]));
    if (expected["loads"] === true) expect(parse()).toHaveProperty("default");
    else expect(parse).toThrow(invalidConfig());
  });
});

describe("policy.json, identities that do not load", () => {
  const refused = ofKind("identity").filter(({ expect: { error } }) => error !== undefined);

  test.for(refused)("$id $why", ({ input }) => {
    expect(() => parsePolicy(policyWithIdentity(input["signedIdentity"]))).toThrow(invalidConfig());
  });

  const loaded = ofKind("identity").filter(({ expect: { error } }) => error === undefined);

  test.for(loaded)("$id loads; its matching waits for signatures", ({ input }) => {
    const [requirement] = parsePolicy(policyWithIdentity(input["signedIdentity"])).default;
    expect(requirement).toMatchObject({ signedIdentity: input["signedIdentity"] });
  });
});

describe("policy.json, scope", () => {
  test.for(ofKind("scope"))("$id $why", ({ input, expect: expected }) => {
    const load = () => parsePolicy(policyWithScopes(input["scopes"] as readonly string[]));
    if (expected["policyLoadError"] !== undefined) {
      expect(load).toThrow(invalidConfig());
      return;
    }
    if (expected["error"] !== undefined) {
      expect(() => imageScopes(String(input["ref"]))).toThrow(
        expect.objectContaining({ code: "ERR_REFERENCE_TAG_AND_DIGEST" }),
      );
      return;
    }
    const image = imageScopes(String(input["ref"]));
    expect({
      identity: image.identity,
      namespaces: image.namespaces,
      scope: formatScope(image, chooseRequirements(load(), image).scope),
    }).toEqual(expected);
  });
});

describe("policy.json, evaluate", () => {
  const known = ofKind("evaluate").filter(({ id }) => SIGNATURE_EVALUATIONS[id] === undefined);

  test.for(known)("$id $why", async ({ input, expect: expected }) => {
    const requirements = (input["requirements"] as readonly string[]).map(requirementOf);
    const policy = parsePolicy(JSON.stringify({ default: requirements }));
    const verdict = await createPolicyEvaluator({ policy }).evaluate({
      transport: "docker",
      reference: parseReference("quay.io/a/b:1"),
    });
    expect(verdict.allowed).toBe(expected["allowed"]);
  });
});

function ofKind(kind: string): readonly Vector[] {
  return VECTORS.filter(({ input }) => input.kind === kind);
}

function invalidConfig(): unknown {
  return expect.objectContaining({
    name: "PolicyError",
    code: "ERR_POLICY_INVALID_CONFIG",
    kind: "PolicyConfigInvalid",
  });
}

function policyWithIdentity(signedIdentity: unknown): string {
  const requirement = { type: "signedBy", keyType: "GPGKeys", keyPath: "/k", signedIdentity };
  return JSON.stringify({ default: [requirement] });
}

function policyWithScopes(entries: readonly string[]): string {
  const transports: Record<string, Record<string, unknown>> = {};
  for (const entry of entries) {
    const [transport = "", scope = ""] = entry.split("|");
    (transports[transport] ??= {})[scope] = REJECT;
  }
  return JSON.stringify({ default: REJECT, transports });
}

function imageScopes(text: string): ImageScopes {
  const [transport = "", rest = ""] = text.split(/:(.*)/s);
  switch (transport) {
    case "docker":
      return dockerScopes(parseReference(rest.slice("//".length)));
    case "dir":
      return directoryScopes(rest.replace(/ \(.*$/, ""));
    case "oci":
      return ociLayoutScopes(rest.replace(/:.*$/, ""));
    case "docker-archive":
      return scopesOf({ transport });
    default:
      return expect.fail(`no transport ${transport}`);
  }
}

function formatScope({ transport }: ImageScopes, { kind, text }: PolicyScope): string {
  return kind === "default" ? "(global default)" : `${transport}|${text}`;
}

function requirementOf(name: string): object {
  const [type = ""] = name.split("(");
  switch (type) {
    case "signedBy":
      return { type, keyType: "GPGKeys", keyPath: "/K1" };
    case "signedBaseLayer":
      return { type, baseLayerIdentity: { type: "matchExact" } };
    default:
      return { type };
  }
}
