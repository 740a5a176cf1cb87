/**
 * What a bundle says about an image: an in-toto statement.
 *
 * @see https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/statement.md
 * @module
 */
import {
  type Digest,
  errorKind,
  escapeText,
  type JsonValue,
  parseJsonDocument,
} from "@stowage/content";

import { shownIdentity } from "../scope/shown-scope.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";

/** What is wanted of a statement. */
export interface WantedStatement {
  readonly predicateType?: string;
  readonly builderId?: string;
}

type JsonObject = { readonly [key: string]: JsonValue };

/** What `cosign sign` states: that the image is signed, and nothing else. */
export const SIGNATURE_PREDICATE = "https://sigstore.dev/cosign/sign/v1";

const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const STATEMENT_TYPES = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];

/** @throws SignatureRejection unless it is what is wanted, and about the manifest. */
export function requireStatement(
  { payload, payloadType }: { readonly payload: Uint8Array; readonly payloadType: string },
  { predicateType = SIGNATURE_PREDICATE, builderId }: WantedStatement,
  manifest: Digest | undefined,
): void {
  if (payloadType !== PAYLOAD_TYPE) refuse("it signs something else than a statement");
  const statement = objectOf(readJson(payload));
  const { _type: type } = statement;
  if (typeof type !== "string" || !STATEMENT_TYPES.includes(type))
    refuse("its statement is of another type");
  if (!isAbout(statement["subject"], manifest)) {
    const about = subjectsOf(statement["subject"]);
    throw new SignatureRejection(
      "mismatch",
      `it is about ${about}, not about ${manifest ?? "this image"}`,
      {
        remedy:
          "Have this very manifest signed. Of an index, each image has to be signed by itself.",
      },
    );
  }
  const found = statement["predicateType"];
  if (found !== predicateType) {
    const text = typeof found === "string" ? escapeText(found) : "nothing";
    throw new SignatureRejection(
      "mismatch",
      `it states ${text}, not ${shownIdentity(predicateType)}`,
      {
        remedy:
          "Have it signed, or attested with that predicateType; an attestation is no signature.",
      },
    );
  }
  if (builderId === undefined) return;
  const builder = builderOf(objectOf(statement["predicate"]));
  if (builder !== builderId) {
    const text = builder === undefined ? "nobody" : escapeText(builder);
    throw new SignatureRejection(
      "mismatch",
      `it was built by ${text}, not by ${shownIdentity(builderId)}`,
      {
        remedy: "Have it built there, or change builderId.",
      },
    );
  }
}

function isAbout(subjects: JsonValue | undefined, manifest: Digest | undefined): boolean {
  if (!Array.isArray(subjects) || manifest === undefined) return false;
  const [algorithm = "", hex] = manifest.split(":");
  return (subjects as readonly JsonValue[]).some((subject) => {
    const { digest } = (subject ?? {}) as { digest?: unknown };
    return typeof digest === "object" && digest !== null && Object.hasOwn(digest, algorithm)
      ? (digest as Record<string, unknown>)[algorithm] === hex
      : false;
  });
}

/** What somebody wrote that it is about, as far as a line has room for it. */
function subjectsOf(subjects: JsonValue | undefined): string {
  const digests = (Array.isArray(subjects) ? (subjects as readonly JsonValue[]) : []).flatMap(
    (subject) => {
      const { digest } = (subject ?? {}) as { digest?: unknown };
      return typeof digest === "object" && digest !== null
        ? Object.entries(digest).map(([algorithm, hex]) => escapeText(`${algorithm}:${hex}`, 80))
        : [];
    },
  );
  const more = digests.length > MAX_SHOWN ? [`${digests.length - MAX_SHOWN} more`] : [];
  return [...digests.slice(0, MAX_SHOWN), ...more].join(", ") || "nothing";
}

const MAX_SHOWN = 3;

/** Of SLSA's provenance, version 1 or 0.2. */
function builderOf(predicate: JsonObject): string | undefined {
  const details = predicate["runDetails"] ?? predicate;
  const { builder } = (details ?? {}) as { builder?: { id?: unknown } | null };
  return typeof builder?.id === "string" ? builder.id : undefined;
}

function readJson(bytes: Uint8Array): JsonValue {
  try {
    return parseJsonDocument(bytes);
  } catch (cause) {
    if (errorKind(cause) === undefined) throw cause;
    throw new SignatureRejection("malformed", "its statement is no JSON document", { cause });
  }
}

function objectOf(value: JsonValue | undefined): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as JsonObject;
  return refuse("its statement is incomplete");
}

function refuse(reason: string): never {
  throw new SignatureRejection("malformed", reason);
}
