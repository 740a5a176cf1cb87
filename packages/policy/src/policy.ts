/**
 * The signature policy of containers tools, read with its own strictness.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-policy.json.5.md
 * @module
 */
import { escapeText, hasErrorCode, type JsonValue } from "@stowage/content";

import { lineOf, readLines } from "./internal/json-lines.ts";
import { PolicyFormError } from "./internal/policy-form-error.ts";
import { nearestWord } from "./internal/nearest-word.ts";
import { howToRequire, howToType, REQUIREMENTS } from "./internal/policy-example.ts";
import { PolicyShape } from "./internal/policy-shape.ts";
import { readPolicyDocument } from "./policy-document.ts";
import { PolicyError } from "./policy-error.ts";
import { keepDocument } from "./policy-lines.ts";
import {
  type AnyOfRequirement,
  type AuditRequirement,
  parseAnyOf,
  parseAudit,
} from "./requirement/requirement-combined.ts";
import {
  type InsecureAcceptAnythingRequirement,
  parseInsecureAcceptAnything,
} from "./requirement/requirement-insecure-accept-anything.ts";
import { parseReject, type RejectRequirement } from "./requirement/requirement-reject.ts";
import {
  parseSignedBaseLayer,
  type SignedBaseLayerRequirement,
} from "./requirement/requirement-signed-base-layer.ts";
import { parseSignedBy, type SignedByRequirement } from "./requirement/requirement-signed-by.ts";
import {
  parseSigstoreBundle,
  type SigstoreBundleRequirement,
} from "./requirement/requirement-sigstore-bundle.ts";
import {
  parseSigstoreSigned,
  type SigstoreSignedRequirement,
} from "./requirement/requirement-sigstore-signed.ts";
import { withoutSecrets } from "./scope/shown-scope.ts";
import { isTransport, scopeProblem } from "./scope/transport-scope.ts";

/** One condition that an image has to meet. */
export type PolicyRequirement =
  | InsecureAcceptAnythingRequirement
  | RejectRequirement
  | SignedByRequirement
  | SignedBaseLayerRequirement
  | SigstoreSignedRequirement
  | SigstoreBundleRequirement
  | AnyOfRequirement
  | AuditRequirement;

const TYPES: readonly PolicyRequirement["type"][] = [
  "insecureAcceptAnything",
  "reject",
  "signedBy",
  "signedBaseLayer",
  "sigstoreSigned",
  "sigstoreBundle",
  "anyOf",
  "audit",
];

/** Scope to requirements; the key `""` is the whole transport. Has no prototype. */
export type PolicyScopes = Readonly<Record<string, readonly PolicyRequirement[]>>;

/** A whole policy. Every list of requirements has at least one, and all of one have to allow. */
export interface Policy {
  /** For images that no scope of their transport covers. */
  readonly default: readonly PolicyRequirement[];
  /** Transport to scopes. Has no prototype, so that any name is only data. */
  readonly transports: Readonly<Record<string, PolicyScopes>>;
}

/** How {@link parsePolicy} speaks of the document. */
export interface ParsePolicyOptions {
  /** Where the document is from; messages begin with it. */
  readonly source?: string | undefined;
}

/**
 * Reads a policy. A key that is unknown, repeated or of another case is an error: what a reader
 * skips might have been the requirement that keeps an image out.
 *
 * Key files are not opened.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_CONFIG` with the line and the JSON path of
 *   the first mistake.
 */
export function parsePolicy(
  document: Uint8Array | string,
  options: ParsePolicyOptions = {},
): Policy {
  const bytes = typeof document === "string" ? new TextEncoder().encode(document) : document;
  const source = options.source === undefined ? "policy" : escapeText(options.source);
  try {
    const policy = readPolicy(new PolicyShape(readPolicyDocument(bytes)));
    keepDocument(policy, bytes);
    return policy;
  } catch (error) {
    if (!hasErrorCode(error, "ERR_POLICY_INVALID_CONFIG")) throw error;
    const { hint = "Correct the policy; until then every image is refused." } =
      error as PolicyError;
    const line =
      error instanceof PolicyFormError
        ? `, line ${lineOf(readLines(new TextDecoder().decode(bytes)), error.steps)}`
        : "";
    const message = `${source}${line}: ${error.message}`;
    throw new PolicyError("ERR_POLICY_INVALID_CONFIG", message, { hint });
  }
}

function readPolicy(shape: PolicyShape): Policy {
  const misplaced = shape.keys.find((key) => isTransport(key) || /[./:]/.test(key));
  if (misplaced !== undefined) {
    shape.fail(
      `is a key that the grammar does not have: there are default, transports, and ${BELOW}`,
      misplaced,
    );
  }
  shape.allow("default", "transports");
  const transports: Record<string, PolicyScopes> = Object.create(null);
  if (shape.has("transports")) {
    const named = shape.inner("transports");
    for (const transport of named.keys) {
      const scopes = named.inner(transport, OF_SCOPES);
      transports[transport] = readScopes(transport, scopes);
    }
  }
  if (!shape.has("default"))
    shape.fail(
      'is missing: write "default": [{"type": "reject"}], or whatever else holds where no scope does',
      "default",
    );
  return { default: readRequirements(shape, "default"), transports };
}

const BELOW =
  'scopes stand below their transport, and that below transports, as in "transports": {"docker": {"quay.io": […]}}';
const OF_SCOPES = ` of scopes: ${BELOW}`;

function readScopes(transport: string, shape: PolicyShape): PolicyScopes {
  const scopes: Record<string, readonly PolicyRequirement[]> = Object.create(null);
  for (const scope of shape.keys) {
    const problem = scope === "" ? undefined : scopeProblem(transport, scope);
    if (problem !== undefined) shape.fail(`is no scope of ${transport}: ${problem}`, scope);
    scopes[scope] = readRequirements(shape, scope);
  }
  return scopes;
}

function readRequirements(shape: PolicyShape, key: string): readonly PolicyRequirement[] {
  const list = shape.value(key);
  if (list === undefined) shape.fail(`is missing: write "${key}": ${REQUIREMENTS}`, key);
  if (!Array.isArray(list))
    shape.fail(`is not a list of requirements${howToRequire(list, TYPES)}`, key);
  const items = list as readonly JsonValue[];
  if (items.length === 0) shape.fail(`is a list of no requirements: write ${REQUIREMENTS}`, key);
  return items.map((item, index) =>
    readRequirement(new PolicyShape(item, shape.stepsTo(key, index), exampleOf(item))),
  );
}

function whichType(type: string): string {
  const meant = nearestWord(type, TYPES);
  return meant === undefined ? `there are ${TYPES.join(", ")}` : `write ${meant}`;
}

/** What was meant by a type where a requirement belongs. */
function exampleOf(item: JsonValue): string {
  const type = TYPES.find((known) => known === item);
  return type === undefined ? "" : `: write {"type": "${type}"}`;
}

/** What none but one type has. */
const FIELDS: Readonly<Record<string, PolicyRequirement["type"]>> = {
  keyType: "signedBy",
  fulcio: "sigstoreSigned",
  rekorPublicKeyPath: "sigstoreSigned",
  pki: "sigstoreSigned",
  identity: "sigstoreBundle",
  trustedRootPath: "sigstoreBundle",
  trustedRootData: "sigstoreBundle",
  baseLayerIdentity: "signedBaseLayer",
};

function readRequirement(shape: PolicyShape): PolicyRequirement {
  if (!shape.has("type")) shape.fail(`is missing${howToType(shape.keys, FIELDS, TYPES)}`, "type");
  const type = shape.string("type");
  switch (type) {
    case "insecureAcceptAnything":
      return parseInsecureAcceptAnything(shape);
    case "reject":
      return parseReject(shape);
    case "signedBy":
      return parseSignedBy(shape);
    case "signedBaseLayer":
      return parseSignedBaseLayer(shape);
    case "sigstoreSigned":
      return parseSigstoreSigned(shape);
    case "sigstoreBundle":
      return parseSigstoreBundle(shape);
    case "anyOf":
      return parseAnyOf(shape, readRequirements);
    case "audit":
      return parseAudit(shape, readRequirements);
    default:
      return shape.fail(
        `is "${escapeText(withoutSecrets(type), 80)}", which is no type of requirement: ${whichType(type)}`,
        "type",
      );
  }
}
