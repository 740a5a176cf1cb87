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
const IMAGE = "docker.io/team/gpg:1";
const REPOSITORY = "docker.io/team/gpg";

describe("a scope that was most likely meant for an image", () => {
  test.for([
    ["docker.io/tem/gpg", REPOSITORY, "spelling"],
    ["docker.io/team/gp", REPOSITORY, "spelling"],
    ["docker.io/team/gpgs", REPOSITORY, "spelling"],
    ["docker.io/team/gpg1", REPOSITORY, "spelling"],
    ["tem/gpg", REPOSITORY, "spelling"],
    ["docker.io:5000/tem/gpg", REPOSITORY, "spelling"],
    ["docker.io/tem/gpg:1", "docker.io/team/gpg:1", "spelling"],
    ["d0cker.io/team/gpg", REPOSITORY, "spelling"],
    ["dоcker.io/team/gpg", REPOSITORY, "spelling"],
    ["docker.io/team/gpg:2", REPOSITORY, "tag"],
    ["docker.io/team:latest", "docker.io/team", "tag"],
    ["docker.io//team/gpg", REPOSITORY, undefined],
    ["//docker.io/team", "docker.io/team", undefined],
    [" docker.io/team/gpg", REPOSITORY, undefined],
    ["docker.io/team/gpg ", REPOSITORY, undefined],
    ["Docker.IO/team", "docker.io/team", undefined],
    ["index.docker.io/team/gpg", REPOSITORY, undefined],
    ["hub.docker.com/r/team/gpg", REPOSITORY, undefined],
    ["docker.io/team*", "docker.io/team", "pattern"],
    ["*", "", undefined],
  ] as const)(
    "%s is named in the remedy, and nothing laxer is offered",
    async ([scope, meant, doubt]) => {
      const { hint, verdict } = await rejectionOf({ docker: { [scope]: ACCEPT } });
      expect(verdict.similar).toEqual([{ scope, meant, ...(doubt && { doubt }), line: 1 }]);
      expect(hint).toContain(`scope "${scope}"`);
      expect(hint).toContain(`write "${meant}"`);
      expect(hint).not.toContain("insecureAcceptAnything");
    },
  );

  test.for([
    ["docker-daemon", REPOSITORY, REPOSITORY],
    ["containers-storage", `[overlay@/var/lib]${REPOSITORY}`, REPOSITORY],
    ["atomic", "docker.io/team", "docker.io/team"],
    ["Docker", REPOSITORY, REPOSITORY],
    ["Docker", "", ""],
    ["dokcer", "docker.io", "docker.io"],
    ["docker ", "docker.io", "docker.io"],
  ] as const)("%s is no transport for its scope %j", async ([transport, scope, meant]) => {
    const { hint, verdict } = await rejectionOf({ [transport]: { [scope]: ACCEPT } });
    expect(hint).toContain(`"${scope}" in line 1 of the transport "${transport}"`);
    expect(hint).toContain(`write "${meant}" below "docker"`);
    expect(hint).not.toContain("insecureAcceptAnything");
    expect(verdict.similar).toEqual([{ scope, meant, transport, doubt: "transport", line: 1 }]);
  });

  test.for([
    ["docker-daemon", ""],
    ["docker-daemon", "docker.io/other"],
    ["containers-storage", "[overlay@/var/lib]"],
    ["dir", "/docker.io/team"],
  ] as const)("of %s, %j is what it is", async ([transport, scope]) => {
    const { verdict } = await rejectionOf({ [transport]: { [scope]: ACCEPT } });
    expect(verdict).not.toHaveProperty("similar");
  });

  test("is the one that is surely meant, where others may be", async () => {
    const { hint } = await rejectionOf({
      docker: { "mirror.io/team/gpg": ACCEPT, "docker.io/tem/gpg": ACCEPT, "team/gpg/": ACCEPT },
    });
    expect(hint).toContain('"team/gpg/"');
  });
});

describe("an image that came in past a scope that asks for more", () => {
  test("is told of by file and line, as text, as data and in one line", async () => {
    const scopes = { "quay.io": REJECT, "docker.io/tem/gpg": SIGNED };
    const verdict = await evaluate({ default: ACCEPT, transports: { docker: scopes } });
    expect(verdict.allowed).toBe(true);
    expect(verdict.bypassed).toEqual([
      { scope: "docker.io/tem/gpg", meant: REPOSITORY, doubt: "spelling", line: 14 },
    ]);
    const words = `the scope "docker.io/tem/gpg" in /etc/p.json, line 14, looks like`;
    expect(formatVerdict(verdict)).toMatch(new RegExp(`\n {2}note: ${words}.*"${REPOSITORY}"`));
    const warning = bypassWarning(verdict);
    expect(warning).toContain(words);
    expect(warning).toContain(`write "${REPOSITORY}"`);
    expect(warning).not.toContain("\n");
  });

  test("is told of below a wider scope that asks for nothing, and not below a nearer one", async () => {
    const near = { "docker.io/team/gpgs": SIGNED, "docker.io//team": SIGNED };
    const wide = await evaluate({
      default: REJECT,
      transports: { docker: { "docker.io/team": ACCEPT, ...near } },
    });
    expect(wide.bypassed).toMatchObject([{ scope: "docker.io/team/gpgs" }]);
    const close = await evaluate({
      default: REJECT,
      transports: { docker: { [REPOSITORY]: ACCEPT, ...near } },
    });
    expect(close.allowed).toBe(true);
    expect(close).not.toHaveProperty("bypassed");
    expect(formatVerdict(close)).not.toContain("note:");
  });

  test.for([
    ["asks for nothing either", ACCEPT, { "docker.io/tem/gpg": ACCEPT }],
    ["only reports", ACCEPT, { "docker.io/tem/gpg": [{ type: "audit", requirements: REJECT }] }],
    ["is of another image", ACCEPT, { "docker.io/other/gpg": SIGNED }],
  ] as const)("is not where the scope %s", async ([, requirements, docker]) => {
    const verdict = await evaluate({ default: requirements, transports: { docker } });
    expect(verdict.allowed).toBe(true);
    expect(verdict).not.toHaveProperty("bypassed");
    expect(bypassWarning(verdict)).toBeUndefined();
  });

  test.for(["mirror.io/team/gpg", "docker.io/team/gpg:2"])(
    "%s is data and a note, but nothing to be warned of, since it may be meant",
    async (scope) => {
      const verdict = await evaluate({
        default: ACCEPT,
        transports: { docker: { [scope]: SIGNED } },
      });
      expect(verdict.bypassed).toMatchObject([{ scope }]);
      expect(formatVerdict(verdict)).toContain(`note: the scope "${scope}"`);
      expect(bypassWarning(verdict)).toBeUndefined();
    },
  );
});

test("ten thousand scopes take one look each, and their lines one at the document", async () => {
  const tags = Array.from({ length: 10_000 }, (_, at) => `${REPOSITORY}:${at}9`);
  const docker = Object.fromEntries(tags.map((scope) => [scope, REJECT]));
  const policy = parsePolicy(`{"default": ${JSON.stringify(REJECT)}, "transports": {"docker":
    ${JSON.stringify(docker).replaceAll("],", "],\n")}}}`);
  const { evaluate: ask } = createPolicyEvaluator({ policy });
  const { similar } = await ask({ transport: "docker", reference: parseReference(IMAGE) });
  expect(similar).toHaveLength(10_000);
  expect(similar?.at(-1)).toMatchObject({ scope: tags.at(-1), line: 10_001 });
  expect(await checkPolicy(policy)).toEqual([]);
});

test("a registry on another port is another one, which an image need not be warned of", async () => {
  const verdictOf = async (scope: string): Promise<PolicyVerdict> => {
    const transports = { docker: { [scope]: SIGNED } };
    const policy = parsePolicy(JSON.stringify({ default: ACCEPT, transports }));
    const reference = parseReference("q.example.com:5000/app:1");
    return await createPolicyEvaluator({ policy }).evaluate({ transport: "docker", reference });
  };
  const other = await verdictOf("q.example.com:5001");
  expect(other.bypassed).toMatchObject([{ scope: "q.example.com:5001" }]);
  expect(bypassWarning(other)).toBeUndefined();
  expect(bypassWarning(await verdictOf("q.example.com"))).toContain('"q.example.com:5000"');
});

async function evaluate(document: object): Promise<PolicyVerdict> {
  const policy = parsePolicy(JSON.stringify(document, undefined, 2));
  const { evaluate: ask } = createPolicyEvaluator({ policy, file: "/etc/p.json" });
  return await ask({ transport: "docker", reference: parseReference(IMAGE) });
}

async function rejectionOf(
  transports: Readonly<Record<string, object>>,
): Promise<{ readonly hint: string; readonly verdict: PolicyVerdict }> {
  const policy = parsePolicy(JSON.stringify({ default: REJECT, transports }));
  const { requireAllowed } = createPolicyEvaluator({ policy });
  const subject = { transport: "docker", reference: parseReference(IMAGE) } as const;
  return await requireAllowed(subject).then(
    () => expect.unreachable(),
    (error: { hint: string; verdict: PolicyVerdict }) => error,
  );
}
