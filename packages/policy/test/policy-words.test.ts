import { symlink } from "node:fs/promises";
import { join } from "node:path";

import { loadPolicy, parsePolicy, type PolicyError } from "@stowage/policy";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const GPG = '{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"';
const REJECT = '"default": [{"type": "reject"}]';

describe("a policy that somebody wrote by hand and that is none is told of in words that mend it:", () => {
  test.for([
    ["a byte order mark", `\ufeff{${REJECT}}`, "a byte order mark", "without a byte order mark"],
    ["nothing", "", "it is empty", '{"default": [{"type": "reject"}]}'],
    ["blanks alone", " \n\t\n", "it is empty", "`stowage policy init --force`"],
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
    expect(error.hint).toContain(remedy);
    // What a library has to say of it would only stand behind that.
    expect(error.cause).toBeUndefined();
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

function errorOf(parse: () => unknown): PolicyError {
  try {
    parse();
  } catch (error) {
    return error as PolicyError;
  }
  return expect.unreachable();
}
