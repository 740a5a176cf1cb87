import {
  bypassWarning,
  checkPolicy,
  createPolicyEvaluator,
  formatVerdict,
  parsePolicy,
  type PolicyVerdict,
} from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { describe, expect, test } from "vitest";

const ACCEPT = [{ type: "insecureAcceptAnything" }];
const REJECT = [{ type: "reject" }];
const SIGNED = [{ type: "signedBy", keyType: "GPGKeys", keyPaths: [] }];
const IMAGE = "registry.example.com/team/app:1.0";
const TEAM = "registry.example.com/team";

describe("a scope that is a pattern, and matches nothing,", () => {
  test.for([
    [`${TEAM}/app:*`, `${TEAM}/app`],
    [`${TEAM}/app@*`, `${TEAM}/app`],
    [`${TEAM}/*`, TEAM],
    [`${TEAM}/*:*`, TEAM],
    [`${TEAM}/**`, TEAM],
  ] as const)("as %s, is said to be %s by a pull and by check", async ([scope, meant]) => {
    expect(await remedyOf(scope)).toContain(`Write ${meant}: `);
    expect(await hintOf(scope)).toContain(`write "${meant}"`);
  });

  test.for([
    [`${TEAM}-*`, TEAM, undefined],
    [`${TEAM}*`, TEAM, undefined],
    [`${TEAM}.*`, TEAM, undefined],
    ["registry.example.com/te*", TEAM, undefined],
    ["registry.example.com/*/app", `${TEAM}/app`, undefined],
    [`${TEAM}/a*`, `${TEAM}/app`, TEAM],
    [`${TEAM}/app:1.*`, `${TEAM}/app:1.0`, `${TEAM}/app`],
    ["*.example.com/team", TEAM, undefined],
    ["*/team", TEAM, undefined],
    ["registry.*/team", TEAM, undefined],
    ["registry.*.com", "registry.example.com", undefined],
    ["registry.example.com:*/team", TEAM, undefined],
    ["registry.example.com:*", "registry.example.com", undefined],
  ] as const)("as %s, is widened by neither", async ([scope, meant, whole]) => {
    const remedy = await remedyOf(scope);
    expect(remedy).toContain("Write each that is meant in full");
    expect(/, or (\S+) if all of it is meant/.exec(remedy)?.[1]).toBe(whole);
    const hint = await hintOf(scope);
    expect(hint).toContain(`If this image is meant, write "${meant}", and the others`);
    expect([...hint.matchAll(/write "([^"]*)"/g)].map(([, name]) => name)).toEqual([meant]);
  });

  test.for(["registry.example.com/x*", "registry.example.com/*/b", "*.example.org/team"])(
    "as %s, is of other images",
    async (scope) => {
      expect(await verdictOf({ [scope]: ACCEPT }, REJECT)).not.toHaveProperty("similar");
    },
  );

  test("takes no longer to compare for having many stars", async () => {
    const scope = `registry.example.com/${"a*".repeat(20_000)}b`;
    const reference = parseReference(`registry.example.com/${"a".repeat(200)}:1`);
    const policy = parsePolicy(
      JSON.stringify({ default: REJECT, transports: { docker: { [scope]: ACCEPT } } }),
    );
    const verdict = await createPolicyEvaluator({ policy }).evaluate({
      transport: "docker",
      reference,
    });
    expect(verdict).not.toHaveProperty("similar");
  });
});

describe("a remedy never has what lets everything in apply to more, but where that is meant:", () => {
  test.for([
    "registry.example.com:5000",
    "registry.example.com:5000/team",
    "https://registry.example.com",
    "registry.example.com/",
    "*.registry.example.com",
    "example.com",
    "team",
    `${TEAM}:1.0`,
    `docker.io/${TEAM}`,
  ])("%s", async (scope) => {
    expect(await hintOf(scope)).toMatch(/\bif\b[^.]*\bwrite "/i);
  });

  test("one that stands below another transport", async () => {
    const transports = { "docker-daemon": { [TEAM]: ACCEPT } };
    const policy = parsePolicy(JSON.stringify({ default: REJECT, transports }));
    const { requireAllowed } = createPolicyEvaluator({ policy });
    await expect(requireAllowed(docker())).rejects.toMatchObject({
      hint: expect.stringMatching(/\bif\b[^.]*\bwrite ".*" below "docker"/i),
    });
  });

  test("nor does check, of a port that is missing", async () => {
    const policy = policyOf({ "q.io/a": ACCEPT, "q.io:5000/b": REJECT }, REJECT);
    expect(await checkPolicy(policy)).toMatchObject([
      { remedy: expect.stringMatching(/if it is .* a slip, write q\.io:5000\/a/) },
    ]);
  });
});

describe("an image that a default lets in past a scope that was meant for it", () => {
  test.for([
    ["*.registry.example.com", "registry.example.com"],
    ["example.com", "*.example.com"],
    [`docker.io/${TEAM}`, TEAM],
    [`docker.io/${TEAM}/app`, `${TEAM}/app`],
    [`index.docker.io/${TEAM}`, TEAM],
    ["docker.io/registry.example.com", "registry.example.com"],
    ["*.example.com/team", TEAM],
    [`${TEAM}/app:*`, `${TEAM}/app`],
    ["team", TEAM],
    ["team/", TEAM],
    ["team/app", `${TEAM}/app`],
    [`${TEAM}:1.0`, TEAM],
  ] as const)("is told of %s by a pull and by explain", async ([scope, meant]) => {
    const verdict = await verdictOf({ [scope]: SIGNED }, ACCEPT);
    expect(verdict).toMatchObject({ allowed: true, bypassed: [{ scope, meant }] });
    const warning = bypassWarning(verdict);
    expect(warning).toContain(`${IMAGE} was let in unchecked: the scope "${scope}"`);
    expect(warning).toContain(`write "${meant}"`);
    expect(formatVerdict(verdict)).toContain(`note: the scope "${scope}"`);
  });

  test.for([
    "com",
    "*.com.example",
    "registry.example.com.evil.org",
    "example.org",
    "tea",
    "docker.io/team",
  ])("is not of %s, which is of others", async (scope) => {
    expect(bypassWarning(await verdictOf({ [scope]: SIGNED }, ACCEPT))).toBeUndefined();
  });

  test("is refused with the same where the default refuses, and with nothing laxer", async () => {
    for (const scope of ["*.registry.example.com", "example.com", `docker.io/${TEAM}`, "team"]) {
      const hint = await hintOf(scope);
      expect(hint).toContain(`"${scope}"`);
      expect(hint).not.toContain("insecureAcceptAnything");
    }
  });
});

async function remedyOf(scope: string): Promise<string> {
  const problems = await checkPolicy(policyOf({ [scope]: ACCEPT }, REJECT));
  expect(problems).toMatchObject([{ severity: "error" }]);
  return problems[0]?.remedy ?? "";
}

async function hintOf(scope: string): Promise<string> {
  const { requireAllowed } = createPolicyEvaluator({
    policy: policyOf({ [scope]: ACCEPT }, REJECT),
  });
  const error = await requireAllowed(docker()).then(
    () => expect.unreachable(),
    (reason: { hint: string }) => reason,
  );
  return error.hint;
}

async function verdictOf(scopes: object, fallback: object): Promise<PolicyVerdict> {
  return await createPolicyEvaluator({ policy: policyOf(scopes, fallback) }).evaluate(docker());
}

function policyOf(scopes: object, fallback: object) {
  return parsePolicy(JSON.stringify({ default: fallback, transports: { docker: scopes } }));
}

function docker() {
  return { transport: "docker", reference: parseReference(IMAGE) } as const;
}
