/**
 * What to write where a policy lacks something, or has something else than it must.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";

import type { JsonValue } from "@stowage/content";

import { nearestWord } from "./nearest-word.ts";

/** What texts look like that people have to think up. */
const TEXTS: Readonly<Record<string, string>> = {
  dockerReference: "HOST/NAME:TAG",
  dockerRepository: "HOST/NAME",
  prefix: "HOST/NAME",
  signedPrefix: "HOST/NAME",
  oidcIssuer: "https://ISSUER",
  issuer: "https://ISSUER",
  subjectEmail: "NAME@HOST",
  subjectHostname: "HOST",
  keyType: "GPGKeys",
  predicateType: "https://slsa.dev/provenance/v1",
};

/** `: write "prefix": "HOST/NAME"`; nothing where nobody could guess. */
export function howToGive(key: string): string {
  const text = key.endsWith("Path") ? "/PATH/OF/A/FILE" : TEXTS[key];
  return text === undefined ? "" : `: write "${key}": "${text}"`;
}

/** Of fields that exclude each other, how to write one. */
export function howToGiveOneOf(keys: readonly string[]): string {
  const key = keys.find((one) => one.endsWith("Path"));
  return key === undefined ? "" : howToGive(key).replace(": write", ", as in");
}

/** What to do where a list stands in place of one text, or one text in place of a list. */
export function howToList(key: string, value: JsonValue, known: readonly string[]): string {
  const [one, several] = [key.replace(/s$/, ""), `${key}s`];
  if (Array.isArray(value) && known.includes(several)) return `: write ${several} for a list`;
  if (typeof value === "string" && known.includes(one))
    return `: write [ and ] around it, or ${one} for one`;
  return "";
}

/** What was meant by a text or one object where requirements belong. */
export function howToRequire(value: JsonValue | undefined, types: readonly string[]): string {
  if (typeof value === "string") {
    const type = nearestWord(value, types) ?? "reject";
    return `: write [{"type": "${type}"${MORE[type] ?? ""}}]`;
  }
  if (isDeepStrictEqual(Object.keys(value ?? {}), ["type"])) {
    const { type } = value as { readonly type: JsonValue };
    if (typeof type === "string" && types.includes(type))
      return `${AROUND}, as in [{"type": "${type}"}]`;
  }
  return AROUND;
}

const AROUND = ": write [ and ] around them";

const MORE: Readonly<Record<string, string>> = {
  signedBy: ', "keyType": "GPGKeys", "keyPath": "/PATH/OF/A/FILE"',
  sigstoreSigned: ', "keyPath": "/PATH/OF/A/FILE"',
  sigstoreBundle: ', "keyPath": "/PATH/OF/A/FILE"',
};

/** What to write in place of no requirements. */
export const REQUIREMENTS =
  '[{"type": "reject"}] to refuse all, [{"type": "insecureAcceptAnything"}] to take all, or what has to be signed: [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/PATH/OF/A/FILE"}]';

/**
 * The type that something without one is to have: what none but one has tells.
 *
 * @param fields - what only some have, and which these are.
 */
export function howToType(
  keys: readonly string[],
  fields: Readonly<Record<string, string>>,
  types: readonly string[],
): string {
  const meant = keys.map((key) => fields[key]).find((type) => type !== undefined);
  return meant === undefined
    ? `: there are ${types.join(", ")}, as in "type": "${types[1]}"`
    : `: write "type": "${meant}"`;
}
