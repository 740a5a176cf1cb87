import { parsePolicy } from "@stowage/policy";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

const REJECT = [{ type: "reject" }];
const KEY = { type: "signedBy", keyType: "GPGKeys", keyPath: "/k" };
const SIGSTORE = { type: "sigstoreSigned" };
const FULCIO = { caPath: "/ca", oidcIssuer: "https://i", subjectEmail: "a@b.c" };
const PKI = { caRootsPath: "/ca", subjectEmail: "a@b.c" };
const DIGESTED = `x.io/a@sha256:${"0".repeat(64)}`;

describe("parsePolicy reads", () => {
  test("every requirement, and means matchRepoDigestOrExact where none is said", () => {
    const requirements = [
      { type: "insecureAcceptAnything" },
      { type: "reject" },
      KEY,
      { type: "signedBy", keyType: "signedByX509CAs", keyPaths: [] },
      { type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } },
      { ...SIGSTORE, keyDatas: ["YQ=="], rekorPublicKeyDatas: ["Yg=="] },
      { ...SIGSTORE, fulcio: FULCIO, rekorPublicKeyPaths: ["/r"] },
      { ...SIGSTORE, pki: { ...PKI, caIntermediatesData: "YQ==", subjectHostname: "h" } },
    ];
    const read = parsePolicy(JSON.stringify({ default: requirements }));
    const signedIdentity = { type: "matchRepoDigestOrExact" };
    expect(read.default).toEqual(
      requirements.map((requirement) =>
        ["signedBy", "sigstoreSigned"].includes(requirement.type)
          ? { ...requirement, signedIdentity }
          : requirement,
      ),
    );
  });

  test("bytes as well as text", () => {
    const text = JSON.stringify({ default: REJECT });
    expect(parsePolicy(new TextEncoder().encode(text))).toEqual(parsePolicy(text));
  });

  test.for(["__proto__", "constructor", "toString"])("P14 %s as plain data", (name) => {
    const scopes = `{"${name}":[{"type":"insecureAcceptAnything"}]}`;
    const policy = parsePolicy(
      `{"default":[{"type":"reject"}],"transports":{"${name}":${scopes},"docker":${scopes}}}`,
    );
    expect(Object.keys(policy.transports)).toEqual([name, "docker"]);
    expect(Object.keys(policy.transports["docker"] ?? {})).toEqual([name]);
    expect(({} as Record<string, unknown>)["type"]).toBeUndefined();
  });
});

describe("parsePolicy refuses, and says where:", () => {
  test.for([
    ["P02 no default", "{}", "default is missing"],
    ["P02 an empty default", '{"default":[]}', "default is a list of no requirements"],
    ["P02 an empty scope", scoped("x", []), "transports.docker.x is a list of no requirements"],
    ["P03 an unknown key", policy({ other: 1 }), "other is a key"],
    ["P03 a repeated key", '{"default":[],"default":[]}', '"default" stands twice'],
    ["P03 a wrong type", '{"default":{}}', "default is not a list"],
    ["P03 a requirement of a wrong type", '{"default":[1]}', "default[0] is not an object"],
    ["P03 a trailing comma", '{"default":[{"type":"reject"},]}', "at character"],
    ["P03 a trailing comma in another line", '{"default":\n [{},]}', "(line 2, column 6)"],
    [
      "P03 a key of another case",
      requirement({ type: "signedBy", keyType: "GPGKeys", keypath: "/k" }),
      "keypath is a key that the grammar does not have: write keyPath",
    ],
    [
      "P03 a transport beside the transports",
      '{"default":[{"type":"reject"}],"docker":{}}',
      "docker is a key that the grammar does not have: there are default, transports",
    ],
    [
      "a scope where a transport belongs",
      '{"default":[{"type":"reject"}],"transports":{"q.io":[]}}',
      "is not an object of scopes: scopes stand below their transport",
    ],
    [
      "a requirement without a list",
      '{"default":{"type":"reject"}}',
      "default is not a list of requirements: write [ and ]",
    ],
    [
      "no keyType",
      requirement({ type: "signedBy", keyPath: "/k" }),
      'keyType is missing: write "keyType": "GPGKeys"',
    ],
    ["P03 a comment", '/* */{"default":[]}', "at character"],
    ["P03 text after it", '{"default":[{"type":"reject"}]}{}', "after the document"],
    ["P03 nothing", "", "at character"],
    ["P03 null transports", policy({ transports: null }), "transports is not an object"],
    ["P03 null scopes", policy({ transports: { docker: null } }), "transports.docker is not"],
    ["P04 an unknown type", requirement({ type: "maybe" }), 'default[0].type is "maybe"'],
    ["P04 no type", requirement({}), "default[0].type is missing"],
    ["P04 a field too many", requirement({ type: "reject", keyPath: "/k" }), "default[0].keyPath"],
    ["P04 no key", requirement({ ...KEY, keyPath: undefined }), "default[0] needs one of"],
    ["P04 two keys", requirement({ ...KEY, keyData: "YQ==" }), "both keyPath and keyData"],
    ["P04 an unknown keyType", requirement({ ...KEY, keyType: "PGP" }), "default[0].keyType"],
    [
      "P04 no keyType",
      requirement({ ...KEY, keyType: undefined }),
      "default[0].keyType is missing",
    ],
    ["P04 an empty keyPath", requirement({ ...KEY, keyPath: "" }), "default[0].keyPath is empty"],
    ["P04 a null keyPath", requirement({ ...KEY, keyPath: null }), "keyPath is not a string"],
    [
      "P04 bad base64",
      requirement({ type: "signedBy", keyType: "GPGKeys", keyData: "a" }),
      "base64",
    ],
    ["P04 paths that are none", requirement({ ...SIGSTORE, keyPaths: [1] }), "keyPaths[0] is not"],
    ["P04 no paths", requirement({ ...SIGSTORE, keyPaths: [] }), "keyPaths has no entries"],
    ["P11 fulcio without a log", requirement({ ...SIGSTORE, fulcio: FULCIO }), "Rekor"],
    [
      "P11 fulcio without an issuer",
      requirement({ ...SIGSTORE, fulcio: { ...FULCIO, oidcIssuer: undefined } }),
      "default[0].fulcio.oidcIssuer is missing",
    ],
    [
      "P11 fulcio with two authorities",
      requirement({ ...SIGSTORE, fulcio: { ...FULCIO, caData: "YQ==" }, rekorPublicKeyPath: "/r" }),
      "default[0].fulcio has both",
    ],
    [
      "P11 pki with a log",
      requirement({ ...SIGSTORE, pki: PKI, rekorPublicKeyData: "YQ==" }),
      "rekorPublicKeyData is not for pki",
    ],
    [
      "P11 pki without a subject",
      requirement({ ...SIGSTORE, pki: { caRootsPath: "/ca" } }),
      "default[0].pki needs",
    ],
    [
      "P11 two sources",
      requirement({ ...SIGSTORE, keyPath: "/k", fulcio: FULCIO, rekorPublicKeyPath: "/r" }),
      "both keyPath and fulcio",
    ],
    ["P11 no source", requirement(SIGSTORE), "default[0] needs one of"],
    [
      "P11 two logs",
      requirement({
        ...SIGSTORE,
        keyPath: "/k",
        rekorPublicKeyPath: "/r",
        rekorPublicKeyPaths: [],
      }),
      "both rekorPublicKeyPath",
    ],
    ["P09 no prefix", remap({ signedPrefix: "x.io" }), "signedIdentity.prefix is missing"],
    ["P09 an empty prefix", remap({ prefix: "", signedPrefix: "x.io" }), "prefix is not a host"],
    [
      "P09 a tag in it",
      remap({ prefix: "x.io/a:1", signedPrefix: "x.io" }),
      "prefix is not a host",
    ],
    ["P09 a digest in it", remap({ prefix: DIGESTED, signedPrefix: "x.io" }), "prefix is not"],
    [
      "P09 a slash behind",
      remap({ prefix: "x.io/", signedPrefix: "x.io" }),
      "prefix is not a host",
    ],
    ["P09 one to sign with", remap({ prefix: "x.io", signedPrefix: "X/" }), "signedPrefix is not"],
    ["an odd name", scoped('a"b\u001b', []), 'transports.docker["a"b\\u{1b}"]'],
  ] as const)("%s", ([, text, where]) => {
    expect(() => parsePolicy(text, { source: "/etc/p.json" })).toThrow(
      expect.objectContaining({
        code: "ERR_POLICY_INVALID_CONFIG",
        kind: "PolicyConfigInvalid",
        message: expect.stringContaining(where),
      }),
    );
    // What is no JSON has the line behind what was expected there.
    const place = isJson(text) ? "/etc/p.json, line 1: " : "/etc/p.json: ";
    expect(() => parsePolicy(text, { source: "/etc/p.json" })).toThrow(
      expect.objectContaining({ message: expect.stringMatching(new RegExp(`^${place}`)) }),
    );
  });

  test("anything that is not UTF-8", () => {
    expect(() => parsePolicy(Uint8Array.of(0x7b, 0xff, 0x7d))).toThrow(
      expect.objectContaining({ code: "ERR_POLICY_INVALID_CONFIG" }),
    );
  });

  test("any JSON that is no policy, with its own error", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(() => parsePolicy(text)).toThrow(
          expect.objectContaining({ code: "ERR_POLICY_INVALID_CONFIG" }),
        );
      }),
    );
  });
});

function isJson(text: string): boolean {
  try {
    // One that has a key twice is none to the reader, and is told of by the lines of both.
    return JSON.stringify(JSON.parse(text)) === text.replaceAll(" ", "");
  } catch {
    return false;
  }
}

function policy(more: object): string {
  return JSON.stringify({ default: REJECT, ...more });
}

function scoped(scope: string, requirements: readonly object[]): string {
  return policy({ transports: { docker: { [scope]: requirements } } });
}

function requirement(fields: object): string {
  return JSON.stringify({ default: [fields] });
}

function remap(fields: object): string {
  return requirement({ ...KEY, signedIdentity: { type: "remapIdentity", ...fields } });
}
