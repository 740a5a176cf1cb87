import { readFileSync } from "node:fs";

import { hasErrorCode } from "@stowage/content";
import {
  familiarReference,
  formatDockerTransport,
  formatReference,
  isNameOnly,
  isSameReference,
  isShortName,
  matchFamiliar,
  parseAnyReference,
  parseCanonicalReference,
  parseDockerReference,
  parseRawReference,
  parseReference,
  type RawReference,
  type Reference,
  scopeIdentity,
  scopeNamespaces,
  withDefaultTag,
  withDigest,
  withTag,
} from "@stowage/reference";
import { describe, expect, test } from "vitest";

/** Vectors that are not followed; the README gives the reason for each. */
const DEVIATIONS: Readonly<Record<string, string>> = {
  "REF-019": "ERR_REFERENCE_INVALID",
  "REF-041": "ERR_REFERENCE_UNSUPPORTED_DIGEST",
  "REF-128": "ERR_REFERENCE_INVALID",
};

const CODES: Readonly<Record<string, string>> = {
  ErrAmbiguousIdentifier: "ERR_REFERENCE_AMBIGUOUS_ID",
  ErrDigestInvalidFormat: "ERR_REFERENCE_INVALID_DIGEST",
  ErrDigestInvalidLength: "ERR_REFERENCE_INVALID_DIGEST",
  ErrDigestUnsupported: "ERR_REFERENCE_UNSUPPORTED_DIGEST",
  ErrNameContainsUppercase: "ERR_REFERENCE_UPPERCASE",
  ErrNameEmpty: "ERR_REFERENCE_EMPTY",
  ErrNameTooLong: "ERR_REFERENCE_NAME_TOO_LONG",
  ErrReferenceInvalidFormat: "ERR_REFERENCE_INVALID",
  ErrTagInvalidFormat: "ERR_REFERENCE_INVALID_TAG",
};

const MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/must be canonical$/, "ERR_REFERENCE_NOT_CANONICAL"],
  [/must be lowercase$/, "ERR_REFERENCE_UPPERCASE"],
  [/^invalid reference format$/, "ERR_REFERENCE_INVALID"],
  [/cannot specify 64-byte hexadecimal strings$/, "ERR_REFERENCE_AMBIGUOUS_ID"],
  [/^invalid checksum digest (length|format)$/, "ERR_REFERENCE_INVALID_DIGEST"],
  [/^unsupported digest algorithm$/, "ERR_REFERENCE_UNSUPPORTED_DIGEST"],
  [/must not be more than 255 characters$/, "ERR_REFERENCE_NAME_TOO_LONG"],
  [/both a tag and digest/, "ERR_REFERENCE_TAG_AND_DIGEST"],
];

interface ParseVector {
  readonly id: string;
  readonly input: string;
  readonly why: string;
  readonly expect: {
    readonly normalized: Outcome;
    readonly rawParse: Outcome;
    readonly parseAny: Outcome;
    readonly parseDockerRef: string;
    readonly parseNamedStrict: string;
    readonly isShortName: boolean;
    readonly dockerTransport: Outcome;
  };
}

interface OperationVector {
  readonly id: string;
  readonly input: Readonly<Record<string, string>>;
  readonly why: string;
  readonly expect: Readonly<Record<string, unknown>>;
}

type Outcome = Readonly<Record<string, unknown>> & { readonly ok: boolean };

const VECTORS: readonly (ParseVector | OperationVector)[] = JSON.parse(
  readFileSync(new URL("vectors/references.json", import.meta.url), "utf8"),
);
const PARSE = VECTORS.filter((vector) => typeof vector.input === "string") as ParseVector[];
const OPERATIONS = VECTORS.filter(
  (vector) => typeof vector.input !== "string",
) as OperationVector[];

describe("references.json, texts", () => {
  const followed = PARSE.filter(({ id }) => DEVIATIONS[id] === undefined);

  test.for(followed)("$id $why", ({ input, expect: expected }) => {
    expect({
      normalized: outcome(() => describeReference(parseReference(input))),
      rawParse: outcome(() => describeRaw(parseRawReference(input))),
      parseAny: outcome(() => describeAny(input)),
      parseDockerRef: text(() => formatReference(parseDockerReference(input))),
      parseNamedStrict: text(() => formatReference(parseCanonicalReference(input))),
      isShortName: isShortName(input),
      dockerTransport: outcome(() => describeTransport(parseReference(input))),
    }).toEqual({
      normalized: expectedOutcome(expected.normalized),
      rawParse: expectedOutcome(expected.rawParse),
      parseAny: expectedOutcome(expected.parseAny),
      parseDockerRef: CODES[expected.parseDockerRef] ?? expected.parseDockerRef,
      parseNamedStrict: expected.parseNamedStrict.startsWith("error: ")
        ? codeOfMessage(expected.parseNamedStrict.slice("error: ".length))
        : expected.parseNamedStrict,
      isShortName: expected.isShortName,
      dockerTransport: expectedOutcome(expected.dockerTransport),
    });
  });

  test.for(PARSE.filter(({ id }) => DEVIATIONS[id] !== undefined))(
    "$id is refused on purpose",
    ({ id, input }) => {
      const code = DEVIATIONS[id];
      expect(() => parseReference(input)).toThrow(expect.objectContaining({ code }));
      expect(() => parseAnyReference(input)).toThrow(expect.objectContaining({ code }));
      expect(() => parseDockerReference(input)).toThrow(expect.objectContaining({ code }));
      expect(() => parseCanonicalReference(input)).toThrow(expect.objectContaining({ code }));
    },
  );
});

describe("references.json, operations", () => {
  test.for(OPERATIONS)("$id $input.op: $why", ({ input, expect: expected }) => {
    if (typeof expected["error"] === "string") {
      const code =
        expected["error"] === "syntax error in pattern"
          ? "ERR_REFERENCE_INVALID_PATTERN"
          : CODES[expected["error"]];
      expect(() => operate(input)).toThrow(expect.objectContaining({ code }));
    } else {
      expect(operate(input)).toEqual(expected);
    }
  });
});

function operate(input: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> {
  const { op, ref = "", pattern = "", tag = "", digest = "", a = "", b = "" } = input;
  switch (op) {
    case "familiarMatch":
      return { match: matchFamiliar(pattern, parseReference(ref)) };
    case "withTag":
      return { string: formatReference(withTag(parseReference(ref), tag)) };
    case "withDigest":
      return { string: formatReference(withDigest(parseReference(ref), digest)) };
    case "isNameOnly":
      return { value: isNameOnly(parseReference(ref)) };
    case "tagNameOnly":
      return { string: formatReference(withDefaultTag(parseReference(ref))) };
    case "crioRegistryImageReference":
      return { string: formatReference(parseDockerReference(ref)) };
    case "normalizedEquality":
      return { equal: isSameReference(parseReference(a), parseReference(b)) };
    default:
      return expect.fail(`no operation ${op}`);
  }
}

function describeReference(reference: Reference): object {
  const { repository, tag, digest } = reference;
  return {
    canonical: formatReference(reference),
    domain: repository.host,
    path: repository.path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
    familiar: familiarReference(reference),
    tagNameOnly: formatReference(withDefaultTag(reference)),
  };
}

function describeRaw({ domain, path, tag, digest }: RawReference): object {
  const name = domain === "" ? path : `${domain}/${path}`;
  const tagged = tag === undefined ? "" : `:${tag}`;
  return { string: `${name}${tagged}${digest === undefined ? "" : `@${digest}`}`, domain, path };
}

function describeAny(input: string): object {
  const parsed = parseAnyReference(input);
  if (parsed.type === "digest") return { kind: "digestReference", string: parsed.digest };
  const { tag, digest } = parsed.reference;
  const plain = digest === undefined ? "repository" : "canonicalReference";
  const tagged = digest === undefined ? "taggedReference" : "reference";
  return {
    kind: tag === undefined ? plain : tagged,
    string: formatReference(parsed.reference),
  };
}

function describeTransport(reference: Reference): object {
  return {
    stringWithinTransport: formatDockerTransport(reference),
    policyIdentity: scopeIdentity(reference),
    policyNamespaces: scopeNamespaces(reference.repository),
  };
}

function outcome(run: () => object): object {
  try {
    return { ok: true, ...run() };
  } catch (error) {
    return { ok: false, code: codeOf(error) };
  }
}

function text(run: () => string): string {
  try {
    return run();
  } catch (error) {
    return codeOf(error);
  }
}

function codeOf(error: unknown): string {
  const codes = [...Object.values(CODES), ...MESSAGES.map(([, code]) => code)];
  if (hasErrorCode(error, ...codes)) return error.code;
  throw error;
}

function expectedOutcome(expected: Outcome): object {
  if (expected.ok) return expected;
  const { error, message } = expected;
  const code = typeof error === "string" ? CODES[error] : codeOfMessage(String(message));
  return { ok: false, code };
}

function codeOfMessage(message: string): string {
  const known = MESSAGES.find(([pattern]) => pattern.test(message));
  return known?.[1] ?? expect.fail(`no code for ${message}`);
}
