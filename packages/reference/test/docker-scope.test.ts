import {
  formatDockerTransport,
  parseReference,
  scopeIdentity,
  scopeNamespaces,
} from "@stowage/reference";
import { expect, test } from "vitest";

const DIGEST = `sha256:${"0".repeat(64)}`;

test("R07 one image has one identity, however it is written", () => {
  const spellings = ["x", "library/x", "docker.io/x", "index.docker.io/library/x:latest"];
  const identities = spellings.map((text) => scopeIdentity(parseReference(text)));
  expect(new Set(identities)).toEqual(new Set(["docker.io/library/x:latest"]));
});

test("R14 prefix lookalikes share no namespace but the registry's", () => {
  const one = scopeNamespaces(parseReference("q.io/a/x").repository);
  const other = scopeNamespaces(parseReference("q.io/ab/x").repository);
  expect(one.filter((scope) => other.includes(scope))).toEqual(["q.io", "*.io"]);
});

test("wildcards come last, widest last, without port", () => {
  expect(scopeNamespaces(parseReference("reg.example.com:5000/ns/img").repository)).toEqual([
    "reg.example.com:5000/ns/img",
    "reg.example.com:5000/ns",
    "reg.example.com:5000",
    "*.example.com",
    "*.com",
  ]);
});

test("tag and digest together have no one identity", () => {
  const both = parseReference(`q.io/a:1@${DIGEST}`);
  const refusal = expect.objectContaining({ code: "ERR_REFERENCE_TAG_AND_DIGEST" });
  expect(() => scopeIdentity(both)).toThrow(refusal);
  expect(() => formatDockerTransport(both)).toThrow(refusal);
  expect(scopeIdentity(parseReference(`q.io/a@${DIGEST}`))).toBe(`q.io/a@${DIGEST}`);
});
