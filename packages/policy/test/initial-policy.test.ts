import { createPolicyDocument, createPolicyEvaluator, parsePolicy } from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { expect, test } from "vitest";

test.for([
  [{}, "busybox", false],
  [{ trust: ["docker.io/library"] }, "busybox", true],
  [{ trust: ["docker.io/library"] }, "user/img", false],
  [{ trust: ["docker.io/library", "localhost:5000"] }, "localhost:5000/a", true],
  [{ trust: ["localhost:5000"] }, "localhost:5001/a", false],
  [{ trust: ["*.example.com"] }, "a.example.com/b", true],
  [{ trustAll: true }, "q.io/a", true],
] as const)("the policy of %j, asked for %s, says %s", async ([options, text, allowed]) => {
  const policy = parsePolicy(createPolicyDocument(options));
  const { evaluate } = createPolicyEvaluator({ policy });
  const verdict = await evaluate({ transport: "docker", reference: parseReference(text) });
  expect(verdict.allowed).toBe(allowed);
});

test("the text is for people too", () => {
  expect(createPolicyDocument({ trust: ["q.io"] })).toMatch(/^\{\n {2}"default"[\s\S]*\}\n$/);
});

test.for(["", "busybox", "https://q.io", "q.io/", "*", "__proto__", "q.io/a b"])(
  "P08 refuses to trust %j, which could match nothing",
  (scope) => {
    expect(() => createPolicyDocument({ trust: [scope] })).toThrow(
      expect.objectContaining({ code: "ERR_POLICY_INVALID_ARGUMENT", kind: "InvalidArgument" }),
    );
  },
);

test("proposes the full name of a short one", () => {
  expect(() => createPolicyDocument({ trust: ["busybox"] })).toThrow(
    expect.objectContaining({ hint: expect.stringContaining("docker.io/library/busybox") }),
  );
});

test("refuses to trust everything and something", () => {
  expect(() => createPolicyDocument({ trust: ["q.io"], trustAll: true })).toThrow(
    expect.objectContaining({ code: "ERR_POLICY_INVALID_ARGUMENT" }),
  );
});
