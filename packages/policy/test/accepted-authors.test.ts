import { acceptedAuthors, type PolicyVerdict, type RequirementVerdict } from "@stowage/policy";
import { describe, expect, test } from "vitest";

const ALLOWED = { allowed: true, reason: "" } as const;

describe("acceptedAuthors", () => {
  test("are those that every signedBy accepts, whatever stays silent beside it", () => {
    const both = verdictOf(
      signedBy(true, true),
      { type: "insecureAcceptAnything", ...ALLOWED },
      signedBy(false, true),
    );
    expect(acceptedAuthors(both).map(({ origin }) => origin)).toEqual(["1"]);
  });

  test.for([
    { type: "reject", allowed: false, reason: "" },
    { type: "sigstoreSigned", ...ALLOWED, signatures: signedBy(true).signatures ?? [] },
    { type: "anyOf", ...ALLOWED, requirements: [signedBy(true)] },
  ] as const)("are nobody's where $type has a say, also if it accepts", (other) => {
    expect(acceptedAuthors(verdictOf(signedBy(true), other))).toEqual([]);
    expect(acceptedAuthors(verdictOf(other, signedBy(true)))).toEqual([]);
  });

  test("are nobody's where nobody asks who signed", () => {
    expect(acceptedAuthors(verdictOf({ type: "insecureAcceptAnything", ...ALLOWED }))).toEqual([]);
  });
});

function signedBy(...accepted: readonly boolean[]): RequirementVerdict {
  const signatures = accepted.map((is, index) => ({
    format: "simple-signing" as const,
    origin: String(index),
    accepted: is,
    reason: "",
  }));
  return { type: "signedBy", ...ALLOWED, signatures };
}

function verdictOf(...requirements: readonly RequirementVerdict[]): PolicyVerdict {
  return {
    allowed: true,
    transport: "docker",
    image: "q.io/a:1",
    scope: { kind: "default", text: "" },
    considered: [],
    requirements,
    places: [],
    audit: [],
  };
}
