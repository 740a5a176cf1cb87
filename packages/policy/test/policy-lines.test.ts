import {
  checkPolicy,
  checkPolicyKeys,
  createPolicyEvaluator,
  parsePolicy,
  type PolicyError,
} from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { describe, expect, test } from "vitest";

import { policyErrorOf } from "./support/policy-error.ts";

/** The mistakes of policies, in documents as people write them. */
const HEAD = `{
  "default": [
    {"type": "reject"}
  ],
  "transports": {
    "docker": {
      "a, [b]: {\\"c\\"": [{"type": "reject"}],
      "q.io\\/a": [
        {
          "type": "signedBy",
`;
const TAIL = `
        }
      ]
    }
  }
}
`;

describe("a policy that is none is told of by the line of", () => {
  test.for([
    ["a field", '"keyType": "GPGKeys",\n\n"keyPath":\n 1', 13, "keyPath is not a string"],
    ["a field that is missing", '"keyType": "GPGKeys"', 9, "needs one of keyPath"],
    ["a field of a case", '"keyType": "GPGKeys",\n"KeyPath": ""', 12, "KeyPath is a key"],
    [
      "an item of a list",
      '"keyType": "GPGKeys",\n"keyPaths": ["/a",\n"/b",\n 1,\n"/c"]',
      14,
      "keyPaths[2] is not",
    ],
    ["an identity", '"keyType": "GPGKeys", "keyPath": "/",\n"signedIdentity": []', 12, "is not an"],
    [
      "a field of an identity",
      '"keyType": "GPGKeys", "keyPath": "/",\n"signedIdentity": {\n"type": "exactReference"}',
      12,
      "signedIdentity.dockerReference is missing",
    ],
  ] as const)("%s", ([, fields, line, words]) => {
    const error = policyErrorOf(HEAD + fields + TAIL);
    expect(error.code).toBe("ERR_POLICY_INVALID_CONFIG");
    const place = `/etc/p.json, line ${line}: transports.docker["q.io/a"][0]`;
    expect(error.message.slice(0, place.length)).toBe(place);
    expect(error.message).toContain(words);
  });

  test.for([
    ['{"default":\n[{"type": "reject"}],\n\n"transport": {}}', "line 4: transport is a key"],
    ['{\n\n"transports": {}}', "line 1: default is missing"],
    ['{"default": [\n{"type": "reject"},\n2,\n3]}', "line 3: default[1] is not an object"],
    ['{"default": [],\r\n"transports": {\r\n"x": 1}}', "line 3: transports.x is not an object"],
    ["\n\n[]", "line 1: the document is not an object"],
  ] as const)("what stands in %j", ([text, words]) => {
    expect(policyErrorOf(text).message).toContain(`/etc/p.json, ${words}`);
  });
});

const GPG = '{\n"type": "signedBy", "keyType": "GPGKeys",\n"keyPath": "/none.asc"}';
const PATHS = GPG.replace('"keyPath": "/none.asc"', '"keyPaths": [\n"/none.asc"\n]');

describe("keys that are none are told of by the line of", () => {
  test.for([
    ["a path", GPG, 3, "[0].keyPath"],
    ["one of several", PATHS, 4, "[0].keyPaths[0]"],
    ["data", '{"type": "sigstoreSigned",\n"keyData":\n"bm8="}', 2, "[0].keyData"],
    [
      "one of several data",
      '{"type": "sigstoreSigned", "keyDatas": [\n"bm8="]}',
      2,
      "[0].keyDatas[0]",
    ],
    [
      "a log",
      `{"type": "sigstoreSigned", "fulcio": {"caPath": "/ca", "oidcIssuer": "i", "subjectEmail": "s"},
      "rekorPublicKeyDatas": [\n\n"bm8="]}`,
      4,
      "[0].rekorPublicKeyDatas[0]",
    ],
    [
      "an authority",
      '{"type": "sigstoreSigned", "pki": {"subjectEmail": "s",\n"caRootsPath": "/none"}}',
      2,
      "[0].pki.caRootsPath",
    ],
    [
      "one inside another",
      `{"type": "anyOf", "requirements": [\n${GPG}]}`,
      4,
      "[0].requirements[0]",
    ],
  ] as const)("%s, by a check and by a refusal", async ([, requirement, line, where]) => {
    const policy = parsePolicy(`{"default": [${requirement}]}`);
    const errors = (await checkPolicy(policy)).filter(({ severity }) => severity === "error");
    expect(errors).toEqual([expect.objectContaining({ line })]);
    expect(await checkPolicyKeys(policy)).toEqual(errors);
    const { requireAllowed } = createPolicyEvaluator({ policy, file: "/etc/p.json" });
    const subject = { transport: "docker", reference: parseReference("q.io/a:1") } as const;
    const refusal = (await requireAllowed(subject).catch((error: unknown) => error)) as PolicyError;
    expect(refusal.hint).toContain(`/etc/p.json, line ${line}, default${where}`);
  });

  test("a requirement, of what it lacks, and of no document, none", async () => {
    const text = `{"default": [{"type": "reject"}], "transports": {\n"dcoker": {},\n"docker": {
      "q.io": [{\n"type": "sigstoreSigned", "keyPath": "/cosign.pub"},\n
      {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}],
      "busybox":\n[{"type": "reject"}]}}}`;
    const policy = parsePolicy(text);
    const found = (await checkPolicy(policy)).map(({ path, line }) => [path, line]);
    expect(found).toEqual([
      ["transports.dcoker", 2],
      ['transports.docker["busybox"]', 8],
      ['transports.docker["q.io"][0].signedIdentity', 4],
      ['transports.docker["q.io"][0]', 5],
      ['transports.docker["q.io"][1]', 7],
    ]);
    const lines = (await checkPolicy({ ...policy })).filter((problem) => "line" in problem);
    expect(lines).toEqual([]);
  });
});
