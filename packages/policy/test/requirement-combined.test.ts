import { parsePolicy } from "@stowage/policy";
import { describe, expect, test } from "vitest";

import { judgeImage } from "./support/judged-image.ts";

const ACCEPT = { type: "insecureAcceptAnything" };
const REJECT = { type: "reject" };
const BASE = { type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } };

describe("anyOf", () => {
  test.for([
    [[ACCEPT], undefined, true],
    [[REJECT, ACCEPT], undefined, true],
    [[REJECT, BASE], undefined, false],
    [[REJECT, ACCEPT], 2, false],
    [[ACCEPT, ACCEPT, REJECT], 2, true],
    [[ACCEPT, ACCEPT, REJECT], 3, false],
  ] as const)("of %j with threshold %s comes to %s", async ([requirements, threshold, allowed]) => {
    const verdict = await judgeImage([{ type: "anyOf", requirements, threshold }], []);
    expect(verdict.allowed).toBe(allowed);
    expect(verdict.requirements[0]?.requirements).toHaveLength(requirements.length);
  });

  test("in one another, says what each says", async () => {
    const inner = { type: "anyOf", requirements: [REJECT, BASE] };
    const { requirements } = await judgeImage(
      [{ type: "anyOf", requirements: [inner, REJECT] }],
      [],
    );
    expect(requirements[0]).toMatchObject({
      allowed: false,
      requirements: [{ type: "anyOf", requirements: [{ type: "reject" }, {}] }, { type: "reject" }],
    });
  });

  test.for([
    ["no requirements", { type: "anyOf" }],
    ["an empty list", { type: "anyOf", requirements: [] }],
    ["a threshold of none", { type: "anyOf", requirements: [ACCEPT], threshold: 0 }],
    ["a threshold above all", { type: "anyOf", requirements: [ACCEPT], threshold: 2 }],
    ["half a threshold", { type: "anyOf", requirements: [ACCEPT, ACCEPT], threshold: 1.5 }],
    ["a threshold that is text", { type: "anyOf", requirements: [ACCEPT], threshold: "1" }],
    ["a key too many", { type: "anyOf", requirements: [ACCEPT], signedIdentity: {} }],
    ["an unknown requirement", { type: "anyOf", requirements: [{ type: "some" }] }],
    ["audit of nothing", { type: "audit", requirements: [] }],
    ["audit with a threshold", { type: "audit", requirements: [ACCEPT], threshold: 1 }],
  ] as const)("refuses %s", ([, requirement]) => {
    expect(() => parsePolicy(JSON.stringify({ default: [requirement] }))).toThrow(
      expect.objectContaining({ code: "ERR_POLICY_INVALID_CONFIG" }),
    );
  });

  test("refuses requirements in one another without end", () => {
    const depth = 40;
    const text =
      '{"type":"anyOf","requirements":['.repeat(depth) + '{"type":"reject"}' + "]}".repeat(depth);
    expect(() => parsePolicy(`{"default":[${text}]}`)).toThrow(
      expect.objectContaining({ code: "ERR_POLICY_INVALID_CONFIG" }),
    );
  });
});

describe("audit", () => {
  test("allows, and reports what would have been denied", async () => {
    const verdict = await judgeImage([{ type: "audit", requirements: [REJECT, ACCEPT] }], []);
    expect(verdict).toMatchObject({
      allowed: true,
      audit: ["reject: it denies every image"],
      requirements: [{ requirements: [{ allowed: false }, { allowed: true }] }],
    });
  });

  test("weakens no requirement beside it, and is no verified signature", async () => {
    const audit = { type: "audit", requirements: [ACCEPT] };
    expect((await judgeImage([audit, REJECT], [])).allowed).toBe(false);
    expect((await judgeImage([audit], [], { requireSigned: true })).allowed).toBe(false);
  });
});
