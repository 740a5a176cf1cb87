import { checkPolicy, parsePolicy } from "@stowage/policy";
import { expect, test } from "vitest";

import { makeSigner } from "./support/sigstore-signer.ts";

const [ONE, TWO] = [makeSigner().data, makeSigner().data];
const ANY_TAG = { signedIdentity: { type: "matchRepository" } };
const by = (keyData: string, more: object = ANY_TAG): object => ({
  type: "sigstoreSigned",
  keyData,
  ...more,
});

test.for([
  ["by keys", [by(ONE), by(TWO)], ['transports.docker["q.io/a"][1]']],
  [
    "by how keys are given",
    [by(ONE), { type: "reject" }, { type: "sigstoreSigned", keyDatas: [TWO], ...ANY_TAG }],
    ['transports.docker["q.io/a"][2]'],
  ],
  ["by keys, all three", [by(ONE), by(TWO), by(ONE)], ["[1]", "[2]"]],
  ["by the names, too", [by(ONE), by(TWO, { signedIdentity: { type: "matchExact" } })], []],
  [
    "by their kind",
    [
      by(ONE),
      { type: "signedBy", keyType: "GPGKeys", keyPaths: [], ...ANY_TAG },
      { type: "sigstoreBundle", keyData: TWO },
    ],
    [],
  ],
] as const)("checkPolicy has for information requirements that differ %s: %#", async (row) => {
  const [, requirements, paths] = row;
  const transports = { docker: { "q.io/a": requirements } };
  const policy = parsePolicy(JSON.stringify({ default: [{ type: "reject" }], transports }));
  const told = (await checkPolicy(policy)).filter(({ severity }) => severity === "info");
  expect(told.map(({ path }) => path)).toEqual(paths.map((path) => expect.stringContaining(path)));
  for (const { problem } of told) expect(problem).toContain("must have a signature of each");
});
