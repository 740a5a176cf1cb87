import { symlink } from "node:fs/promises";
import { join } from "node:path";

import { loadPolicy, parsePolicy, type PolicyError } from "@stowage/policy";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const GPG = '{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"';
const ARMOR = String.raw`-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nMHcCAQEE\n`;
const PRIVATE = String.raw`-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n`;
const REJECT = '"default": [{"type": "reject"}]';

describe("a policy that somebody wrote by hand and that is none is told of in words that mend it:", () => {
  test.for([
    ["a byte order mark", `\ufeff{${REJECT}}`, "a byte order mark", "without a byte order mark"],
    ["nothing", "", "it is empty", '{"default": [{"type": "reject"}]}'],
    [
      "blanks alone",
      " \n\t\n",
      "it is empty",
      "`stowage policy init --force --policy FILE --trust SCOPE`",
    ],
    [
      "a comma behind the last requirement",
      `{"default": [{"type": "reject"},\n\n]}`,
      "a comma too many in line 1, before ], at character",
      "Correct",
    ],
    [
      "a comma behind the last key",
      `{${REJECT},\n}`,
      "a comma too many in line 1, before }, at character 34 (line 2, column 1)",
      "Correct",
    ],
    [
      "two commas",
      `{\n"default": [{"type": "reject"},,]}`,
      "a comma too many in line 2 at",
      "Corr",
    ],
    ["a comma in front", `{\n,${REJECT}}`, "a comma too many in line 2 at", "Correct"],
    [
      "a comma too few",
      `{${REJECT}\n"transports": {}}`,
      "a comma or a closing brace was expected at character 33 (line 2, column 1)",
      "Correct",
    ],
    [
      "a key twice",
      `{${REJECT},\n"transports": {"docker": {"q.io": [{"type": "reject"}],\n\n"q.io": []}}}`,
      '"q.io" stands twice in one object, in line 2 and in line 4',
      "Merge the two",
    ],
    [
      "a key twice that is escaped once, and stands elsewhere, too",
      '{"transports": {"default": {}},\n"default": [],\n"d\\u0065fault": []}',
      '"default" stands twice in one object, in line 2 and in line 3',
      "Merge",
    ],
    ["no default", '{"transports": {}}', 'write "default": [{"type": "reject"}]', "Correct"],
    [
      "a type alone",
      '{"default": ["reject"]}',
      'default[0] is not an object: write {"type": "reject"}',
      "",
    ],
    [
      "a type of another case",
      '{"default": [{"type": "Reject"}]}',
      "requirement: write reject",
      "",
    ],
    ["a misspelt type", '{"default": [{"type": "signdBy"}]}', "requirement: write signedBy", ""],
    ["a misspelt key", `{"defualt": []}`, "write default", ""],
    [
      "an identity that is unknown",
      `{"default": [${GPG}, "signedIdentity": {"type": "any"}}]}`,
      "there are matchExact, matchRepoDigestOrExact, matchRepository, exactReference, exactRepository, remapIdentity",
      "",
    ],
    [
      "an identity that is misspelt",
      `{"default": [${GPG}, "signedIdentity": {"type": "matchrepository"}}]}`,
      "no type of identity: write matchRepository",
      "",
    ],
    [
      "an identity as text",
      `{"default": [${GPG}, "signedIdentity": "matchExact"}]}`,
      'default[0].signedIdentity is not an object: write {"type": "matchExact"}',
      "",
    ],
    [
      "an identity with a name as text",
      `{"default": [${GPG}, "signedIdentity": "exactReference"}]}`,
      'write {"type": "exactReference", "dockerReference": "HOST/NAME:TAG"}',
      "",
    ],
    [
      "an identity as some text",
      `{"default": [${GPG}, "signedIdentity": "app"}]}`,
      'write {"type": "matchRepository"}, for example',
      "",
    ],
  ] as const)("%s", ([, text, words, remedy]) => {
    const error = errorOf(() => parsePolicy(text, { source: "/etc/p.json" }));
    expect(error.code).toBe("ERR_POLICY_INVALID_CONFIG");
    expect(error.message).toContain(words);
    expect(error.message).not.toContain("JSON document:");
    if (words.includes("comma too many")) expect(error.message).toMatch(/column \d+\)$/);
    expect(error.hint).toContain(remedy);
    // What a library has to say of it would only stand behind that.
    expect(error.cause).toBeUndefined();
  });

  test.for([
    ["a list of paths", '"keyPath": ["/a", "/b"]', "keyPath is not a string: write keyPaths for a"],
    [
      "a path for a list",
      '"keyPaths": "/a"',
      "is not an array: write [ and ] around it, or keyPath",
    ],
    ["two ways", '"keyPath": "/a", "keyPaths": ["/b"]', "remove one, or give all in keyPaths"],
    ["an empty path", '"keyPath": ""', 'is empty: write "keyPath": "/PATH'],
    [
      "a key as text",
      `"keyData": "${ARMOR}"`,
      "it is the text of a file: write what `base64 -w0 FILE`",
    ],
    ["a private key", `"keyData": "${PRIVATE}"`, "it is a private key, which must not be here"],
    ["a path as data", '"keyData": "/etc/k.asc"', "is not base64: it is a path: call it keyPath"],
    [
      "a fingerprint",
      '"keyData": "8504 8366 A7A3 9AF9 EA33  C928 BB37 47A5 49A2 356D"',
      "`gpg --export 85048366A7A39AF9EA33C928BB3747A549A2356D | base64 -w0`",
    ],
    [
      "an address",
      '"keyData": "alice@example.com"',
      "`gpg --export alice@example.com | base64 -w0`",
    ],
    ["what was cut", '"keyData": "bm8"', "write what `base64 -w0 FILE` prints"],
  ] as const)("keys as %s", ([, field, words]) => {
    const { message } = errorOf(() =>
      parsePolicy(`{"default": [{"type": "signedBy", "keyType": "GPGKeys", ${field}}]}`),
    );
    expect(message).toContain(words);
    expect(message).not.toContain("MHcCAQEE");
  });

  test.for([
    ["no key", "{}", 'needs one of keyPath, keyPaths, keyData, as in "keyPath": "/PATH/OF/A/FILE"'],
    ["keyType", '{"keyType": "gpg", "keyPath": "/"}', 'signedByX509CAs: write "GPGKeys"'],
  ] as const)("a signedBy with %s", ([, text, words]) => {
    const fields = { type: "signedBy", keyType: "GPGKeys", ...(JSON.parse(text) as object) };
    expect(told([fields])).toContain(words);
  });

  test.for([
    [{ keyType: "GPGKeys", keyPath: "/k" }, 'type is missing: write "type": "signedBy"'],
    [{ keyPath: "/k", fulcio: {} }, 'type is missing: write "type": "sigstoreSigned"'],
    [{ identity: {} }, 'type is missing: write "type": "sigstoreBundle"'],
    [
      { keyPath: "/k" },
      'there are insecureAcceptAnything, reject, signedBy, signedBaseLayer, sigstoreSigned, sigstoreBundle, anyOf, audit, as in "type": "reject"',
    ],
  ] as const)("no type in %j", ([fields, words]) => {
    expect(told([fields])).toContain(words);
  });

  test.for([
    [[], 'no requirements: write [{"type": "reject"}] to refuse all, [{"type": "insecureAcc'],
    ["reject", 'default is not a list of requirements: write [{"type": "reject"}]'],
    [
      "signedby",
      'write [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/PATH/OF/A/FILE"}]',
    ],
    ["deny", 'write [{"type": "reject"}]'],
    [{ type: "reject" }, 'write [ and ] around them, as in [{"type": "reject"}]'],
    [[{ type: "anyOf" }], 'default[0].requirements is missing: write "requirements": [{'],
    [[{ type: "anyOf", requirements: [] }], "[0].requirements is a list of no requirements: write"],
    [[{ type: "anyOf", threshold: "1", requirements: [{ type: "reject" }] }], "without quotes"],
  ] as const)("requirements that are %j", ([requirements, words]) => {
    expect(told(requirements)).toContain(words);
  });

  test.for([
    [{ docker: {} }, "docker is a key that the grammar does not have: there are default, tr"],
    [{ "q.io/a": [] }, '["q.io/a"] is a key that the grammar does not have: there are default'],
    [{ transports: { "q.io": [] } }, 'transports["q.io"] is not an object of scopes: scopes'],
  ] as const)("scopes at the wrong place, as in %j", ([more, words]) => {
    const text = JSON.stringify({ default: [{ type: "reject" }], ...more });
    const { message } = errorOf(() => parsePolicy(text));
    expect(message).toContain(words);
    expect(message).toContain(
      'scopes stand below their transport, and that below transports, as in "transports": {"docker": {"quay.io": […]}}',
    );
  });

  test.for([
    [{ type: "exactReference" }, 'is missing: write "dockerReference": "HOST/NAME:TAG"'],
    [{ type: "exactRepository" }, 'is missing: write "dockerRepository": "HOST/NAME"'],
    [
      { type: "exactReference", dockerReference: "q.io/a" },
      "write HOST/NAME:TAG, or take exactRepo",
    ],
    [
      { type: "exactRepository", dockerRepository: "https://q.io/a" },
      'write "dockerRepository": "HO',
    ],
    [{ dockerRepository: "q.io/a" }, 'type is missing: write "type": "exactRepository"'],
    [{}, "there are matchExact, matchRepoDigestOrExact, matchRepository, exact"],
    [{ type: "remapIdentity" }, 'prefix is missing: write "prefix": "HOST/NAME"'],
    [{ type: "remapIdentity", prefix: "q.io/" }, 'path: write "q.io", and no more'],
    [{ type: "remapIdentity", prefix: "https://q.io/a/" }, 'path: write "q.io/a", and no more'],
    [{ type: "remapIdentity", prefix: "q.io/a:1" }, 'path: write "prefix": "HOST/NAME"'],
    [{ type: "remapIdentity", prefix: "https://u:geheim@q.io" }, 'path: write "prefix": "HOST/NA'],
  ] as const)("an identity that is %j", ([signedIdentity, words]) => {
    const fields = { type: "signedBy", keyType: "GPGKeys", keyPath: "/k", signedIdentity };
    expect(told([fields])).toContain(words);
    expect(told([fields])).not.toContain("geheim");
  });

  test.for([
    [
      { caPath: "/ca", oidcIssuer: "i" },
      'subjectEmail is missing: write "subjectEmail": "NAME@HOST"',
    ],
    [
      { caPath: "/ca", subjectEmail: "i" },
      'oidcIssuer is missing: write "oidcIssuer": "https://ISS',
    ],
    [
      { caPath: "/ca", oidcIssuer: "i", subjectEmail: "s" },
      'needs a Rekor key: without the log\'s time a short-lived key proves nothing: write "rekorPublicKeyPath": "/PATH',
    ],
  ] as const)("an authority that is %j", ([fulcio, words]) => {
    expect(told([{ type: "sigstoreSigned", fulcio }])).toContain(words);
  });

  test("UTF-16, as some editors save", () => {
    const bytes = Buffer.from(`\ufeff{${REJECT}}`, "utf16le");
    const error = errorOf(() => parsePolicy(bytes));
    expect(error.message).toContain("not UTF-8, but UTF-16");
    expect(error.hint).toContain("Save it as UTF-8");
    expect(error.cause).toBeUndefined();
  });

  test("a link that leads in a circle, without what the system calls that", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "loop");
    await symlink("loop", path);
    const error = (await loadPolicy({ path }).catch((cause: unknown) => cause)) as PolicyError;
    expect(error.message).toBe(`${path}: cannot be opened: its links lead in a circle`);
    expect(error.cause).toBeUndefined();
  });
});

/** What is said of these requirements. */
function told(requirements: unknown): string {
  return errorOf(() => parsePolicy(JSON.stringify({ default: requirements }))).message;
}

function errorOf(parse: () => unknown): PolicyError {
  try {
    parse();
  } catch (error) {
    return error as PolicyError;
  }
  return expect.unreachable();
}
