import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { parseDigest } from "@stowage/content";
import {
  acceptedAuthors,
  chooseRequirements,
  directoryScopes,
  dockerScopes,
  type ImageScopes,
  type ImageSignature,
  loadRegistriesD,
  lookasideUrl,
  matchesIdentity,
  ociLayoutScopes,
  parsePolicy,
  type PolicyScope,
  scopesOf,
  signatureStorageOf,
  type SignedIdentity,
} from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { type GpgKeyring, hasPeer, makeGpgKeyring, tempDir } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  judgeImage,
  judgeOne,
  MANIFEST_DIGEST,
  payloadOf,
  simpleSignature,
} from "./support/judged-image.ts";

/** Kinds that other tests run, or that nothing here is about. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  e2e: "needs registries: the runtime shim's tests run them by their ids",
  sigstorePayload: "POL-P09, in the test of sigstoreSigned",
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
  const run = [
    "parse",
    "scope",
    "identity",
    "evaluate",
    "authors",
    "simpleSigningPayload",
    "lookasideURL",
    "registriesd",
  ];
  const kinds = new Set(VECTORS.map(({ input }) => input.kind));
  expect([...kinds].filter((kind) => !run.includes(kind)).sort()).toEqual(
    Object.keys(ELSEWHERE).sort(),
  );
});

describe("policy.json, parse", () => {
  test.for(ofKind("parse"))("$id $why", ({ input, expect: expected }) => {
    const parse = () => parsePolicy(String(input["policy"]));
    if (expected["loads"] === true) expect(parse()).toHaveProperty("default");
    else expect(parse).toThrow(invalidConfig());
  });
});

describe("policy.json, identity", () => {
  test.for(ofKind("identity"))("$id $why", ({ input, expect: expected }) => {
    const load = () => parsePolicy(policyWithIdentity(input["signedIdentity"]));
    if (expected["error"] !== undefined) {
      expect(load).toThrow(invalidConfig());
      return;
    }
    const [requirement] = load().default;
    expect(requirement).toMatchObject({ signedIdentity: input["signedIdentity"] });
    const text = String(input["imageReference"]);
    const image = text === "" ? undefined : parseReference(text);
    const identity = input["signedIdentity"] as SignedIdentity;
    const claimed = String(input["signatureDockerReference"]);
    expect(matchesIdentity(identity, image, claimed)).toBe(expected["match"]);
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

describe("policy.json, places of signatures", () => {
  test.for(ofKind("lookasideURL"))("$id $why", ({ input, expect: expected }) => {
    const { repository } = parseReference(String(input["physicalRef"]));
    const digest = parseDigest(String(input["manifestDigest"]));
    const url = lookasideUrl(String(input["base"]), repository, digest, Number(input["n"]));
    expect(url.href).toBe(expected["url"]);
  });

  test.for(ofKind("registriesd"))("$id $why", async ({ input, expect: expected }) => {
    await using folder = await tempDir();
    const files = (input["files"] ?? { "a.yaml": input["yaml"] }) as Record<string, string>;
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(folder.path, name), text === "(none)" ? "" : text);
    }
    const load = loadRegistriesD({ directory: folder.path });
    if (expected["error"] !== undefined) {
      await expect(load).rejects.toMatchObject({ code: "ERR_POLICY_INVALID_REGISTRIES_D" });
      return;
    }
    const storage = signatureStorageOf(await load, parseReference(String(input["ref"])));
    const found = {
      read: storage.lookaside,
      write: storage.lookasideStaging,
      attachments: storage.useSigstoreAttachments,
    };
    const { read, ...others } = expected;
    expect(found).toMatchObject(others);
    if (typeof read !== "string") return;
    const byDefault = /^default: (\S+) \(root\)$/.exec(read)?.[1];
    if (byDefault === undefined || process.getuid?.() === 0) {
      expect(found.read).toBe(byDefault ?? read);
    }
  });
});

describe.runIf(hasPeer("gpg"))("policy.json, signed (if gpg is installed)", () => {
  let keyring: GpgKeyring;
  const keys = new Map<string, string>();

  beforeAll(async () => {
    keyring = await makeGpgKeyring();
    for (const name of ["K1", "K2"]) {
      keys.set(name, await keyring.makeKey(name));
      await writeFile(join(keyring.path, name), await keyring.exportKey(keys.get(name) ?? ""));
    }
  });

  afterAll(() => keyring[Symbol.asyncDispose]());

  test.for([...ofKind("evaluate"), ...ofKind("authors")])("$id $why", async (vector) => {
    const { input, expect: expected } = vector;
    const requirements = (input["requirements"] as readonly string[]).map(requirementOf);
    const texts = input["signatures"] as readonly string[];
    const signatures = await Promise.all(texts.map((text) => signatureOf(text)));
    const requireSigned = input["option"] === "requireSigned=true";
    const verdict = await judgeImage(requirements, signatures, { requireSigned });
    if (input.kind === "authors") {
      expect(acceptedAuthors(verdict).map(({ origin }) => origin)).toEqual(expected["accepted"]);
      return;
    }
    expect(verdict.allowed).toBe(expected["allowed"]);
    if (vector.id === "POL-E07") {
      const [requirement] = verdict.requirements;
      expect(requirement?.reason).toContain(requirement?.signatures?.[0]?.reason);
    }
  });

  const P01 = ofKind("simpleSigningPayload").find(({ id }) => id === "POL-P01")?.input["json"];

  test.for(ofKind("simpleSigningPayload"))("$id $why", async ({ input, expect: expected }) => {
    const { "...": as, ...json } = input["json"] as Readonly<Record<string, unknown>>;
    const payload = as === "as P01" ? { ...(P01 as object), ...json } : json;
    const text = JSON.stringify(payload).replace("sha256:H", MANIFEST_DIGEST);
    const bytes = await keyring.sign(keys.get("K1") ?? "", text);
    const identity = { type: "exactRepository", dockerRepository: "quay.io/a/b" };
    const requirement = { ...requirementOf("signedBy(K1)"), signedIdentity: identity };
    const verdict = await judgeOne(requirement, simpleSignature(bytes));
    expect(verdict.allowed).toBe(expected["parses"]);
    if (expected["parses"] === false) expect(verdict.signatures?.[0]?.fault).toBe("malformed");
  });

  function requirementOf(text: string): object {
    const [type = ""] = text.split("(");
    switch (type) {
      case "signedBy": {
        const named = [...text.matchAll(/K\d/g)].map(([name]) => join(keyring.path, name));
        return named.length === 1
          ? { type, keyType: "GPGKeys", keyPath: named[0] }
          : { type, keyType: "GPGKeys", keyPaths: named };
      }
      case "signedBaseLayer":
        return { type, baseLayerIdentity: { type: "matchExact" } };
      case "sigstoreSigned":
        return { type, keyPath: "/K1" };
      default:
        return { type };
    }
  }

  async function signatureOf(text: string): Promise<ImageSignature> {
    if (text.startsWith("sigstore")) {
      const mimeType = "application/vnd.dev.cosign.simplesigning.v1+json";
      const payload = Buffer.from(payloadOf());
      return { format: "sigstore-attachment", mimeType, payload, annotations: {}, origin: text };
    }
    const key = keys.get(/K\d/.exec(text)?.[0] ?? "K1") ?? "";
    return simpleSignature(await keyring.sign(key, payloadOf()), text);
  }
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
