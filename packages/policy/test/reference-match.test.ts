import { matchesIdentity, type SignedIdentity } from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { describe, expect, test } from "vitest";

const DIGEST = `sha256:${"a".repeat(64)}`;
const OTHER_DIGEST = `sha256:${"b".repeat(64)}`;

/** Every kind of rule, and the names that each must tell apart. */
const RULES: readonly (readonly [SignedIdentity, readonly string[], readonly string[]])[] = [
  [{ type: "matchExact" }, ["q.io/a/b:1"], []],
  [
    { type: "matchRepoDigestOrExact" },
    ["q.io/a/b:1"],
    ["q.io/a/b:1", "q.io/a/b:2", `q.io/a/b@${DIGEST}`],
  ],
  [
    { type: "matchRepository" },
    ["q.io/a/b:1", "q.io/a/b:2", "q.io/a/b", `q.io/a/b@${DIGEST}`],
    ["q.io/a/b:1", "q.io/a/b:2", "q.io/a/b", `q.io/a/b@${DIGEST}`],
  ],
  [{ type: "exactReference", dockerReference: "q.io/a/b:1" }, ["q.io/a/b:1"], ["q.io/a/b:1"]],
  [
    { type: "exactRepository", dockerRepository: "q.io/a/b" },
    ["q.io/a/b:1", "q.io/a/b:2", "q.io/a/b", `q.io/a/b@${DIGEST}`],
    ["q.io/a/b:1", "q.io/a/b:2", "q.io/a/b", `q.io/a/b@${DIGEST}`],
  ],
  [
    { type: "remapIdentity", prefix: "q.io/a", signedPrefix: "v.io/x" },
    ["v.io/x/b:1"],
    ["v.io/x/b:1", "v.io/x/b:2"],
  ],
];

const CLAIMS = [
  "q.io/a/b:1",
  "q.io/a/b:2",
  "q.io/a/b",
  `q.io/a/b@${DIGEST}`,
  "q.io/a/bc:1",
  "q.io/a:1",
  "q.io/c/b:1",
  "q.io.evil/a/b:1",
  "a/b:1",
  "v.io/x/b:1",
  "v.io/x/b:2",
  "v.io/x/bc:1",
  "v.io/xx/b:1",
  "Q.io/a/b:1",
  "q.io/a/B:1",
  "q.io//a/b:1",
  "",
];

describe("V85 matchesIdentity", () => {
  test.for(RULES)("$0.type tells names apart for a tag", ([rule, byTag]) => {
    const image = parseReference("q.io/a/b:1");
    const matched = CLAIMS.filter((claim) => matchesIdentity(rule, image, claim));
    expect(matched.sort()).toEqual([...byTag].sort());
  });

  test.for(RULES)("S20 $0.type tells names apart for a digest", ([rule, , byDigest]) => {
    const image = parseReference(`q.io/a/b@${DIGEST}`);
    const matched = CLAIMS.filter((claim) => matchesIdentity(rule, image, claim));
    // Exactly the same digest is all that matchExact takes.
    const expected = rule.type === "matchExact" ? [`q.io/a/b@${DIGEST}`] : byDigest;
    expect(matched.sort()).toEqual([...expected].sort());
  });

  test("S20 for a digest any tag or digest of the repository is good, since the bytes decide", () => {
    const image = parseReference(`q.io/a/b@${DIGEST}`);
    const rule = { type: "matchRepoDigestOrExact" } as const;
    expect(matchesIdentity(rule, image, `q.io/a/b@${OTHER_DIGEST}`)).toBe(true);
    expect(matchesIdentity({ type: "matchExact" }, image, `q.io/a/b@${OTHER_DIGEST}`)).toBe(false);
  });

  test("a short name is the full name that it stands for", () => {
    const image = parseReference("busybox:1");
    expect(matchesIdentity({ type: "matchExact" }, image, "docker.io/library/busybox:1")).toBe(
      true,
    );
    expect(matchesIdentity({ type: "matchExact" }, image, "busybox:1")).toBe(true);
    expect(matchesIdentity({ type: "matchExact" }, image, "quay.io/busybox:1")).toBe(false);
  });

  test("an image without a name matches only what does not ask for it", () => {
    const matching = RULES.filter(([rule]) => matchesIdentity(rule, undefined, "q.io/a/b:1"));
    expect(matching.map(([{ type }]) => type)).toEqual(["exactReference", "exactRepository"]);
  });
});
