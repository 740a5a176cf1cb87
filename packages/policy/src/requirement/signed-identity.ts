import { errorKind, escapeText } from "@stowage/content";
import {
  isNameOnly,
  parseRawReference,
  parseReference,
  parseRegistryHost,
  type Reference,
} from "@stowage/reference";

import { nearestWord } from "../internal/nearest-word.ts";
import { howToGive, howToType } from "../internal/policy-example.ts";
import type { PolicyShape } from "../internal/policy-shape.ts";

import { hasCredentials, shownScope, withoutSecrets } from "../scope/shown-scope.ts";

/** Which name a signature must be for. */
export type SignedIdentity =
  | { readonly type: "matchExact" | "matchRepoDigestOrExact" | "matchRepository" }
  | { readonly type: "exactReference"; readonly dockerReference: string }
  | { readonly type: "exactRepository"; readonly dockerRepository: string }
  | { readonly type: "remapIdentity"; readonly prefix: string; readonly signedPrefix: string };

/** What a requirement without `signedIdentity` means. */
const DEFAULT_IDENTITY: SignedIdentity = { type: "matchRepoDigestOrExact" };

export function parseSignedIdentityOrDefault(shape: PolicyShape): SignedIdentity {
  return shape.has("signedIdentity")
    ? parseSignedIdentity(shape, "signedIdentity")
    : DEFAULT_IDENTITY;
}

/** Whether a requirement says none. */
export function isDefaultIdentity(identity: SignedIdentity): boolean {
  return identity === DEFAULT_IDENTITY;
}

export function parseSignedIdentity(parent: PolicyShape, key: string): SignedIdentity {
  if (!parent.has(key)) parent.fail("is missing", key);
  const value = parent.value(key);
  const shape = parent.inner(key, `: write ${exampleOf(value)}`);
  if (!shape.has("type"))
    shape.fail(`is missing${howToType(shape.keys, FIELDS, Object.keys(EXAMPLES))}`, "type");
  const type = shape.string("type");
  switch (type) {
    case "matchExact":
    case "matchRepoDigestOrExact":
    case "matchRepository":
      shape.allow("type");
      return { type };
    case "exactReference":
      shape.allow("type", "dockerReference");
      return { type, dockerReference: exactReference(shape) };
    case "exactRepository":
      shape.allow("type", "dockerRepository");
      referenceAt(shape, "dockerRepository");
      return { type, dockerRepository: shape.string("dockerRepository") };
    case "remapIdentity":
      shape.allow("type", "prefix", "signedPrefix");
      return {
        type,
        prefix: prefixAt(shape, "prefix"),
        signedPrefix: prefixAt(shape, "signedPrefix"),
      };
    default:
      return shape.fail(
        `is "${escapeText(withoutSecrets(type), 80)}", which is no type of identity: ${whichType(type)}`,
        "type",
      );
  }
}

/** What none but one type has. */
const FIELDS: Readonly<Record<string, SignedIdentity["type"]>> = {
  dockerReference: "exactReference",
  dockerRepository: "exactRepository",
  prefix: "remapIdentity",
  signedPrefix: "remapIdentity",
};

/** Each type, with what it has to have. */
const EXAMPLES: Readonly<Record<SignedIdentity["type"], object>> = {
  matchExact: {},
  matchRepoDigestOrExact: {},
  matchRepository: {},
  exactReference: { dockerReference: "HOST/NAME:TAG" },
  exactRepository: { dockerRepository: "HOST/NAME" },
  remapIdentity: { prefix: "HOST/NAME", signedPrefix: "HOST/NAME" },
};

/** What was meant by a text where an object belongs. */
function exampleOf(value: unknown): string {
  const known = Object.entries(EXAMPLES).find(([type]) => type === value);
  const [type, fields] = known ?? ["matchRepository", {}];
  const pairs = Object.entries({ type, ...fields }).map(([key, text]) => `"${key}": "${text}"`);
  return `{${pairs.join(", ")}}${known === undefined ? ", for example" : ""}`;
}

function whichType(type: string): string {
  const types = Object.keys(EXAMPLES);
  const meant = nearestWord(type, types);
  return meant === undefined ? `there are ${types.join(", ")}` : `write ${meant}`;
}

function exactReference(shape: PolicyShape): string {
  if (isNameOnly(referenceAt(shape, "dockerReference"))) {
    shape.fail(
      "has neither a tag nor a digest: write HOST/NAME:TAG, or take exactRepository with a dockerRepository for all of them",
      "dockerReference",
    );
  }
  return shape.string("dockerReference");
}

function referenceAt(shape: PolicyShape, key: string): Reference {
  const text = shape.string(key);
  return (
    unlessInvalid(() => parseReference(text)) ??
    shape.fail(`is no image reference${howToGive(key)}`, key)
  );
}

function prefixAt(shape: PolicyShape, key: string): string {
  const text = shape.string(key);
  const valid = asPrefix(text);
  if (valid !== undefined) return valid;
  const plain = text.replace(/^[a-z]+:\/\//i, "").replace(/[/*]+$/, "");
  const meant = hasCredentials(plain) ? undefined : asPrefix(plain);
  return shape.fail(
    `is not a host, or a host with the beginning of a path${
      meant === undefined ? howToGive(key) : `: write "${shownScope(meant)}", and no more`
    }`,
    key,
  );
}

/** A host with its port, or one followed by path components. */
function asPrefix(text: string): string | undefined {
  return (
    unlessInvalid(() => parseRegistryHost(text)) ??
    unlessInvalid(() => {
      const { domain, tag, digest } = parseRawReference(text);
      return domain !== "" && tag === undefined && digest === undefined ? text : undefined;
    })
  );
}

function unlessInvalid<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (errorKind(error) === undefined) throw error;
    return undefined;
  }
}
