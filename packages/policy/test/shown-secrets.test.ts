import { inspect } from "node:util";

import { checkPolicy, parsePolicy } from "@stowage/policy";
import { beforeAll, describe, expect, test } from "vitest";

import { shownIdentity, shownScope } from "../src/scope/shown-scope.ts";
import {
  bundleSignature,
  openSigstore,
  type Sigstore,
  statementOf,
  WORKFLOW,
} from "./support/bundle-signer.ts";
import { judgeOne } from "./support/judged-image.ts";

const SECRET = "geheim";
const KEY = `-----BEGIN PRIVATE KEY-----\nMHcC${SECRET}\n-----END PRIVATE KEY-----\n`;

describe("what a policy says of who may sign is shown without passwords:", () => {
  let sigstore: Sigstore;

  beforeAll(async () => {
    sigstore = await openSigstore();
  });

  test.for([
    { issuer: `https://bob:${SECRET}@issuer.example.com`, subject: WORKFLOW },
    { issuer: `https://issuer.example.com/?token=${SECRET}`, subject: WORKFLOW },
    { issuer: "https://i", subject: `https://bob:${SECRET}@github.com/o/r.yml@refs/heads/main` },
    { issuer: "https://i", subjectPattern: `https://bob:${SECRET}@github.com/o/**` },
  ])("%j", async (identity) => {
    const rule = { type: "sigstoreBundle", identity, trustedRootData: sigstore.rootData };
    const verdict = await judgeOne(rule, bundleSignature(await sigstore.bundle({})));
    expect(inspect(verdict, { depth: 9 })).toContain("The policy trusts https://");
    expect(inspect(verdict, { depth: 9 })).not.toContain(SECRET);
  });

  test.for([{ predicateType: `https://bob:${SECRET}@slsa.dev/provenance` }, { builder: 1 }])(
    "and of what a statement must be: %j",
    async (more) => {
      const built = { predicateType: "https://slsa.dev/provenance/v1" };
      const wanted = { ...built, builderId: `https://bob:${SECRET}@q.io/builder` };
      const rule = {
        type: "sigstoreBundle",
        identity: { issuer: "https://token.actions.githubusercontent.com", subject: WORKFLOW },
        trustedRootData: sigstore.rootData,
        ...("builder" in more ? wanted : more),
      };
      const statement = statementOf({ ...built, predicate: {} });
      const bundle = bundleSignature(await sigstore.bundle({ statement }));
      const verdict = await judgeOne(rule, bundle);
      expect(inspect(verdict, { depth: 9 })).toContain("https://[redacted]@");
      expect(inspect(verdict, { depth: 9 })).not.toContain(SECRET);
    },
  );

  test.for([
    [WORKFLOW, WORKFLOW],
    ["alice@example.com", "alice@example.com"],
    [
      "https://git.corp:3000/o/r.yml@refs/heads/main",
      "https://git.corp:3000/o/r.yml@refs/heads/main",
    ],
    ["spiffe://corp/ns/build", "spiffe://corp/ns/build"],
    [`https://bob:${SECRET}@h/r.yml@refs/x`, "https://[redacted]@h/r.yml@refs/x"],
    [`https://${SECRET}@h`, "https://[redacted]@h"],
    [`https://bob:a/${SECRET}@h/x`, "https://[redacted]@h/x"],
    [`bob:${SECRET}@h`, "[redacted]@h"],
    [`https://h/?a=1&token=${SECRET}#b`, "https://h/?[redacted]"],
    [KEY, "[redacted]"],
  ] as const)("%j as %s", ([text, shown]) => {
    expect(shownIdentity(text)).toBe(shown);
  });
});

describe("what stands in a policy by mistake is shown without secrets:", () => {
  test.for([
    ["a type", [{ type: `https://bob:${SECRET}@h` }], 'type is "https://[redacted]@h"'],
    ["a key as a type", [{ type: KEY }], 'type is "[redacted]"'],
    ["a key as a field", [{ type: "reject", [KEY]: 1 }], '["[redacted]"] is a key'],
    [
      "a type of identity",
      [signed({ signedIdentity: { type: `https://bob:${SECRET}@h` } })],
      'type is "https://[redacted]@h"',
    ],
    ["a key as an identity", [signed({ signedIdentity: { type: KEY } })], 'type is "[redacted]"'],
    ["an identity", [signed({ signedIdentity: KEY })], "signedIdentity is not an object"],
    ["data", [signed({ keyPath: undefined, keyData: `bob:${SECRET}@h` })], "is not base64"],
    ["a type of keys", [signed({ keyType: KEY })], "keyType is none of"],
    ["a requirement", [KEY], "default[0] is not an object"],
    ["all requirements", KEY, "default is not a list"],
  ] as const)("%s", ([, requirements, words]) => {
    const error = errorOf(JSON.stringify({ default: requirements }));
    expect(error).toMatchObject({ message: expect.stringContaining(words) });
    expect(inspect(error)).not.toContain(SECRET);
  });

  test.for([
    [`q.io/team?token=${SECRET}`, "q.io/team?[redacted]"],
    [KEY, "[redacted]"],
    ["/srv/a?b=c", "/srv/a?b=c"],
  ] as const)("%j as the scope %s", async ([scope, shown]) => {
    expect(shownScope(scope)).toBe(shown);
    const REJECT = [{ type: "reject" }];
    const transports = { docker: { [scope]: REJECT } };
    const policy = parsePolicy(JSON.stringify({ default: REJECT, transports }));
    expect(inspect(await checkPolicy(policy))).not.toContain(SECRET);
  });

  test("a path of a key with a token", async () => {
    const keyPath = `https://h/alice.asc?token=${SECRET}`;
    const policy = parsePolicy(JSON.stringify({ default: [signed({ keyPath })] }));
    const [problem] = await checkPolicy(policy);
    expect(problem?.problem).toContain("https://h/alice.asc?[redacted] is not there");
    expect(inspect(problem)).not.toContain(SECRET);
  });
});

function signed(fields: object): object {
  return { type: "signedBy", keyType: "GPGKeys", keyPath: "/k", ...fields };
}

function errorOf(text: string): unknown {
  try {
    return parsePolicy(text);
  } catch (error) {
    return error;
  }
}
