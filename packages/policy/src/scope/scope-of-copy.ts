import { escapeText } from "@stowage/content";

import { shownIdentity } from "./shown-scope.ts";
import type { PolicyScope } from "./policy-scope.ts";
import { type RequirementSpot, showFile, withChanged } from "../requirement/requirement-spot.ts";
import type { SignedIdentity } from "../requirement/signed-identity.ts";

/**
 * How to give a copy a scope of its own, as a clause with the JSON to add: what the scope has that
 * covers it now, with another identity in the requirement that denies. In that scope the identity
 * would shut out all others that it covers.
 *
 * @param name - of the copy, or of what all copies are below.
 * @param length - whether all the JSON is wanted; `short` leaves out what other scopes have as well.
 * @returns `undefined` if the scope is that of `name` already, or covers nothing beside it.
 */
export function scopeOfCopy(
  spot: RequirementSpot,
  name: string,
  identity: SignedIdentity,
  length: "long" | "short" = "long",
): string | undefined {
  const { file, transport, hasTransport, scope } = spot;
  if (transport !== "docker" || !isBelow(name, scope)) return undefined;
  const requirements = withChanged(spot, (requirement) => ({
    ...requirement,
    signedIdentity: identity,
  }));
  const key = JSON.stringify(escapeText(name));
  if (length === "short")
    return `the same for ${key} instead, with "signedIdentity": ${inlineJson(identity)}`;
  const entry = `${key}: ${inlineJson(requirements)}`;
  const add = hasTransport
    ? `add ${entry} to transports.docker in ${showFile(file)}`
    : `add "docker": {${entry}} to "transports", which stands beside "default", in ${showFile(file)}`;
  const kept = scope.text === "" ? "the default" : `"${escapeText(scope.text, 160)}"`;
  const left = entry.includes(LEFT_OUT) ? `, "…" being what ${kept} has` : "";
  return `give it a scope of its own and leave ${kept} as it is: ${add}${left}`;
}

function isBelow(name: string, { kind, text }: PolicyScope): boolean {
  if (kind === "default" || kind === "transport") return true;
  if (!text.startsWith("*.")) return name.startsWith(`${text}/`);
  const [host = ""] = name.split(/[:/]/);
  return host.endsWith(text.slice(1));
}

/** JSON in one line, without data: nobody can read it, and it may be a private key by mistake. */
export function inlineJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inlineJson).join(", ")}]`;
  if (typeof value === "string") {
    return value.includes("-----BEGIN") ? LEFT_OUT : JSON.stringify(escapeText(value, 512));
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([key, field]) => !isUsual(key, field));
  const texts = fields.map(
    ([key, field]) => `"${key}": ${/Datas?$/.test(key) ? LEFT_OUT : inlineField(key, field)}`,
  );
  return `{${texts.join(", ")}}`;
}

/** A path is what it is; who may sign is nowhere else than here, and may be a URL with a password. */
function inlineField(key: string, field: unknown): string {
  const isName = /^(?:issuer|oidcIssuer|subject|subjectPattern|subjectEmail|builderId)$/.test(key);
  return isName && typeof field === "string"
    ? JSON.stringify(shownIdentity(field))
    : inlineJson(field);
}

const LEFT_OUT = '"…"';

/** Nobody has to write the identity that is meant without any. */
function isUsual(key: string, value: unknown): boolean {
  const { type } = (value ?? {}) as { readonly type?: unknown };
  return key === "signedIdentity" && type === "matchRepoDigestOrExact";
}
