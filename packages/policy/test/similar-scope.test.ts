import { createPolicyEvaluator, formatVerdict, parsePolicy } from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { describe, expect, test } from "vitest";

const ACCEPT = [{ type: "insecureAcceptAnything" }];
const REJECT = [{ type: "reject" }];

describe("a scope that misses an image by little", () => {
  test.for([
    ["q.io", "q.io:5000/a/b:1", "q.io:5000"],
    ["q.io:5000/a", "q.io/a/b:1", "q.io/a"],
    ["https://q.io/a", "q.io/a/b:1", "q.io/a"],
    ["q.io/a/", "q.io/a/b:1", "q.io/a"],
    ["Q.io/a", "q.io/a/b:1", "q.io/a"],
    ["busybox", "busybox", "docker.io/library/busybox"],
    ["docker.io/busybox", "busybox", "docker.io/library/busybox"],
    ["acme/app", "acme/app:2", "docker.io/acme/app"],
  ] as const)("%s is told of with %s, and what would be it", async ([scope, image, meant]) => {
    const { evaluate, requireAllowed } = evaluator({ [scope]: ACCEPT });
    const verdict = await evaluate(docker(image));
    expect(verdict).toMatchObject({ allowed: false, similar: [{ scope, meant }] });
    expect(formatVerdict(verdict)).toContain(`"${scope}"`);
    await expect(requireAllowed(docker(image))).rejects.toMatchObject({
      hint: expect.stringContaining(`write "${meant}"`),
    });
  });

  test.for([
    ["q.io/team/ap", "q.io/team/app:1", "q.io/team/app"],
    ["q.io/team/a", "q.io/team/ap:1", undefined],
    ["q.io/v1/app", "q.io/v2/app:1", undefined],
    ["q.io/taem/ap", "q.io/team/app:1", undefined],
    ["*.in", "q.io/team/app:1", undefined],
    ["q.exmple.com", "q.example.com/app:1", "q.example.com"],
    ["rncr.microsoft.com/a", "mcr.microsoft.com/a/b:1", "mcr.microsoft.com/a"],
    ["q.io/taem", "q.io/team/app:1", "q.io/team"],
    ["q.io/team/apps", "q.io/team/apps2:1", "q.io/team/apps2"],
    ["qauy.io/team/app", "quay.io/team/app:1", "quay.io/team/app"],
    ["quay.io/team/application", "quay.io/team/aplication:1", "quay.io/team/aplication"],
  ] as const)("%s may be meant for %s, and may not", async ([scope, image, meant]) => {
    const { evaluate, requireAllowed } = evaluator({ [scope]: ACCEPT });
    const { similar } = await evaluate(docker(image));
    expect(similar).toEqual(meant && [{ scope, meant, doubt: "spelling", line: 1 }]);
    if (meant === undefined) return;
    await expect(requireAllowed(docker(image))).rejects.toMatchObject({
      hint: expect.stringMatching(new RegExp(`"${scope}".*write "${meant}".*if not, look`)),
    });
  });

  test.for([
    ["mirror.io/team/app", "q.io/team/app:1"],
    ["mirror.io:5000/q.io/team/app", "q.io/team/app:1"],
    ["mirror.io/team/app:1", "q.io/team/app:1"],
    ["mirror.io/library/busybox", "busybox"],
  ] as const)("%s is of another registry than %s, which is told", async ([scope, image]) => {
    const { evaluate, requireAllowed } = evaluator({ [scope]: ACCEPT });
    const { similar } = await evaluate(docker(image));
    expect(similar).toMatchObject([{ scope, doubt: "registry" }]);
    await expect(requireAllowed(docker(image))).rejects.toMatchObject({
      hint: expect.stringMatching(/whatever mirror delivers it: .*write "/),
    });
  });

  test.for([
    ["q.io", "q.io/a/b:1"],
    ["other.io/a", "q.io/a/b:1"],
    ["other.io", "q.io/a/b:1"],
    ["other.io/a/c", "q.io/a/b:1"],
    ["q.io/ab", "q.io/a/b:1"],
    ["q.io/a/b/c", "q.io/a/b:1"],
    ["", "q.io/a/b:1"],
  ] as const)("%j is none for %s", async ([scope, image]) => {
    const verdict = await evaluator({ [scope]: REJECT }).evaluate(docker(image));
    expect(verdict).not.toHaveProperty("similar");
  });

  test("does not hide what a nearer one that was found asks for", async () => {
    const { requireAllowed } = evaluator({ "q.io/a/b": REJECT, "https://q.io": ACCEPT });
    await expect(requireAllowed(docker("q.io/a/b:1"))).rejects.toMatchObject({
      hint: expect.not.stringContaining("https://q.io"),
    });
  });
});

test("what rejects all images says what would let this one through", async () => {
  const verdict = await evaluator({}).evaluate(docker("q.io/a/b:1"));
  expect(formatVerdict(verdict)).toMatch(/to pass: .*transports\.docker\["q\.io\/a\/b"\]/);
});

function evaluator(scopes: object) {
  const policy = parsePolicy(JSON.stringify({ default: REJECT, transports: { docker: scopes } }));
  return createPolicyEvaluator({ policy });
}

function docker(name: string) {
  return { transport: "docker", reference: parseReference(name) } as const;
}
