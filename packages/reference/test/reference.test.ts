import { errorKind } from "@stowage/content";
import {
  formatReference,
  parseAnyReference,
  parseCanonicalReference,
  parseDockerReference,
  parseReference,
  repositoryOnly,
  withDefaultTag,
  withDigest,
  withoutTagIfDigested,
  withTag,
} from "@stowage/reference";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

const HEX = "86e0e091d0da6bde2456dbb48306f3956bbeb2eae1b5b9a43045843f69fe4aaa";
const DIGEST = `sha256:${HEX}`;

describe("parseReference refuses, with a kind and no crash,", () => {
  test.for([
    ["R01", ["", " ", "   ", "\n", "\0", "a\0b", "\u202e", "a\u202eb", "a".repeat(1024 * 1024)]],
    ["R02", ["UPPER/case:tag", "a//b", "/a", "a/", "a/./b", "a/../b", "a__ _b"]],
    ["R03", [`q.io/${"a".repeat(251)}`, "a".repeat(238)]],
    ["R04", [`a:${"t".repeat(129)}`, "a:-x", "a:.x", "a:b:c", "a:b/c", "q.io/a:b/c"]],
    ["R05", ["host:0/a", "host:65536/a", "host:08/a", "host:-1/a", "host:/a", "host:99999999/a"]],
    ["R05, without a slash,", ["host:-1", "host:"]],
    ["R06", ["[::1]:5000/a", "[fe80::1%25eth0]/a", "[::1/a", "::1/a", "[::1]/a"]],
    ["R08", [HEX]],
    ["R11", ["ɢhcr.io/a/b", "ghcr.io/а/b", "q.io/%2e%2e/a", "q.io\\a", "q.io/a\\b", "a。b/c"]],
    ["R12", ["http://host/x", "docker://x", "oci:/etc", "dir:/etc", "containers-storage:x"]],
    ["R12, relative,", ["oci:layout", "dir:image", "oci-archive:x", "docker-archive:x.tar"]],
  ] as const)("%s", ([, texts]) => {
    for (const text of texts) {
      expect(
        kindOf(() => parseReference(text)),
        JSON.stringify(text.slice(0, 80)),
      ).toBe("ReferenceInvalid");
    }
  });

  test.for([
    [`repo@sha256:${HEX.slice(1)}`, "DigestInvalid"],
    [`repo@sha256:${HEX.toUpperCase()}`, "DigestInvalid"],
    ["repo@md5:d41d8cd98f00b204e9800998ecf8427e", "DigestUnsupported"],
    [`repo@sha384:${"a".repeat(96)}`, "DigestUnsupported"],
    [`repo@${DIGEST}@${DIGEST}`, "ReferenceInvalid"],
  ] as const)("R09 %s as %s", ([text, kind]) => {
    expect(kindOf(() => parseReference(text))).toBe(kind);
  });
});

describe("parseReference accepts", () => {
  test("R03 a name of 255 characters, registry included", () => {
    expect(formatReference(parseReference(`q.io/${"a".repeat(250)}`))).toHaveLength(255);
    expect(formatReference(parseReference("a".repeat(237)))).toHaveLength(255);
  });

  test("R04 a tag of 128 characters, which do not count as name", () => {
    const text = `q.io/${"a".repeat(250)}:${"t".repeat(128)}`;
    expect(formatReference(parseReference(text))).toBe(text);
  });

  test("R05 the ports from 1 to 65535", () => {
    expect(parseReference("host:1/a").repository.host).toBe("host:1");
    expect(parseReference("host:65535/a").repository.host).toBe("host:65535");
  });

  test("R07 three spellings of one image", () => {
    const spellings = ["docker.io/library/x", "x", "index.docker.io/x"];
    const canonical = spellings.map((text) => formatReference(parseReference(text)));
    expect(new Set(canonical)).toEqual(new Set(["docker.io/library/x"]));
  });

  test("R08 a bare digest as a name only where parseAnyReference was not asked first", () => {
    expect(formatReference(parseReference(DIGEST))).toBe(`docker.io/library/${DIGEST}`);
    expect(parseAnyReference(DIGEST)).toEqual({ type: "digest", digest: DIGEST });
    expect(parseAnyReference(HEX)).toEqual({ type: "digest", digest: DIGEST });
  });

  test("R12 an image that has the name of a transport to registries", () => {
    expect(formatReference(parseReference("docker:dind"))).toBe("docker.io/library/docker:dind");
    expect(formatReference(parseReference("docker.io/library/oci:1"))).toBe(
      "docker.io/library/oci:1",
    );
  });

  test.for([
    ["localhost/x", "localhost", "x"],
    ["host.with.dot/x", "host.with.dot", "x"],
    ["a/x", "docker.io", "a/x"],
    ["a.b/x", "a.b", "x"],
    ["ab/x", "docker.io", "ab/x"],
    ["localhostx/x", "docker.io", "localhostx/x"],
  ] as const)("R14 %s as a name at %s", ([text, host, path]) => {
    expect(parseReference(text).repository).toEqual({ host, path });
  });

  test("whatever it formats, as it was", () => {
    fc.assert(
      fc.property(references(), (text) => {
        const once = formatReference(parseReference(text));
        expect(formatReference(parseReference(once))).toBe(once);
        expect(formatReference(parseCanonicalReference(once))).toBe(once);
      }),
    );
  });

  test("any text at all, or throws one of its own errors", () => {
    const texts = fc.oneof(fc.string({ unit: "binary", maxLength: 80 }), nearReferences());
    fc.assert(
      fc.property(texts, (text) => {
        expect(["ok", "ReferenceInvalid", "DigestInvalid", "DigestUnsupported"]).toContain(
          kindOf(() => parseReference(text)),
        );
      }),
    );
  });
});

describe("parseReference takes linear time", () => {
  test.for([
    ["R15 separators", (size: number) => `${"a-".repeat(size / 2)}!`],
    ["R15 separators without an end", (size: number) => "a-".repeat(size / 2)],
    ["dots", (size: number) => `${"a.".repeat(size / 2)}/x`],
    ["underscores", (size: number) => `a${"_".repeat(size)}b`],
    ["dashes in a host", (size: number) => `a${"-".repeat(size)}.io/x`],
    ["labels", (size: number) => `${"a.".repeat(size / 2)}b_/x`],
    ["components", (size: number) => `${"a/".repeat(size / 2)}!`],
    ["capitals", (size: number) => `q.io/${"A".repeat(size)}`],
    ["a digest", (size: number) => `a@${"a+".repeat(size / 2)}:00`],
    ["colons", (size: number) => ":".repeat(size)],
    ["ats", (size: number) => "@".repeat(size)],
    ["colons before ats", (size: number) => `${":".repeat(size)}@`],
    ["slashes", (size: number) => "/".repeat(size)],
    ["a scheme", (size: number) => `${"a".repeat(size)}:`],
    ["a tag", (size: number) => `a:${"t".repeat(size)}`],
  ] as const)("of %s", ([, make]) => {
    const text = make(50_000);
    expect(fastest(() => kindOf(() => parseReference(text)))).toBeLessThan(5);
  });
});

describe("messages", () => {
  test("R01 quote what was written, escaped and cut", () => {
    const message = messageOf(() => parseReference(`\u001b[31m\u202e${"x".repeat(5000)}\n`));
    expect(message).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(message.length).toBeLessThan(400);
  });

  test.for([
    ["https://q.io/a", /scheme https:/],
    ["host:0/a", /host\[:port\]/],
    ["a:-x", /its tag is none/],
    ["host:50000/a:-x", /its tag is none/],
    ["[::1]:5000/a", /IPv6/],
    ["./a", /looks like a file/],
    ["a b", /white space/],
    ["Foo/bar", /lower case/],
    ["foo_bar.com/baz", /no host name/],
    ["dir:x", /transport to local files/],
    ["oci:/tmp/layout", /oci: begins a place on this machine/],
    ["docker-archive:it/x.tar:a", /a place on this machine/],
    ["oci:5000/a:-x", /its tag is none/],
  ] as const)("of %s say what is wrong", ([text, pattern]) => {
    expect(messageOf(() => parseReference(text))).toMatch(pattern);
  });
});

describe("changing a reference", () => {
  const both = parseReference(`q.io/a:1@${DIGEST}`);

  test("keeps the other part", () => {
    expect(formatReference(withTag(both, "2"))).toBe(`q.io/a:2@${DIGEST}`);
    expect(formatReference(withDigest(parseReference("q.io/a:1"), DIGEST))).toBe(
      `q.io/a:1@${DIGEST}`,
    );
    expect(formatReference(repositoryOnly(both))).toBe("q.io/a");
    expect(formatReference(withDefaultTag(repositoryOnly(both)))).toBe("q.io/a:latest");
  });

  test("R10 lets the digest decide where there may be only one", () => {
    expect(formatReference(withoutTagIfDigested(both))).toBe(`q.io/a@${DIGEST}`);
    expect(formatReference(parseDockerReference(`q.io/a:1@${DIGEST}`))).toBe(`q.io/a@${DIGEST}`);
    expect(parseDockerReference("q.io/a").tag).toBe("latest");
  });

  test("checks the new part", () => {
    expect(() => withTag(both, "-x")).toThrow(code("ERR_REFERENCE_INVALID_TAG"));
    expect(() => withDigest(both, "sha256:zz")).toThrow(code("ERR_REFERENCE_INVALID_DIGEST"));
    expect(() => withDigest(both, "md5:d41d8cd98f00b204e9800998ecf8427e")).toThrow(
      code("ERR_REFERENCE_UNSUPPORTED_DIGEST"),
    );
  });
});

test("parseCanonicalReference offers the full name", () => {
  expect(() => parseCanonicalReference("busybox:1")).toThrow(
    expect.objectContaining({
      code: "ERR_REFERENCE_NOT_CANONICAL",
      hint: "Write docker.io/library/busybox:1.",
    }),
  );
});

function code(code: string): unknown {
  return expect.objectContaining({ name: "InvalidReferenceError", code });
}

function kindOf(parse: () => unknown): string {
  try {
    parse();
    return "ok";
  } catch (error) {
    return errorKind(error) ?? String(error);
  }
}

function messageOf(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    return (error as Error).message;
  }
  return expect.fail("was accepted");
}

/** Milliseconds of the fastest of many runs, so that a busy machine does not decide. */
function fastest(run: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 100 && best >= 5; tries += 1) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

function references(): fc.Arbitrary<string> {
  const component = fc.stringMatching(/^[a-z0-9]{1,5}([._-][a-z0-9]{1,5}){0,2}$/);
  return fc
    .tuple(
      fc.constantFrom("", "localhost/", "q.io/", "Q.io:5000/", "docker.io/", "index.docker.io/"),
      fc.array(component, { minLength: 1, maxLength: 4 }),
      fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}$/)),
      fc.boolean(),
    )
    .map(([host, path, tag, digested]) => {
      const tagged = tag === null ? "" : `:${tag}`;
      return `${host}${path.join("/")}${tagged}${digested ? `@${DIGEST}` : ""}`;
    })
    .filter((text) => !/^[^/]*_[^/]*\.[^/]*\/|^[^/]*\.[^/]*_[^/]*\//.test(text))
    .filter((text) => !/^(?:dir|oci):[^/]*$/.test(text));
}

function nearReferences(): fc.Arbitrary<string> {
  const pieces = fc.constantFrom("a", "/", ":", "@", ".", "-", "_", "A", "0", "sha256:", HEX, "[");
  return fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join(""));
}
