/**
 * Requirements that several signers have to meet, of whom one has signed: that one's key, added to
 * them, would make one signature do for all.
 *
 * @module
 */
import { escapeText } from "@stowage/content";

import type { PolicyRequirement } from "../policy.ts";
import type { RequirementVerdict, SignatureVerdict } from "../verdict.ts";
import { type RequirementSpot, showSpot } from "./requirement-spot.ts";

/** Beside the verdicts, since these are also for others to read. */
const byOtherKey = new WeakSet<SignatureVerdict>();

/** Notes that a signature is by a key that the requirement does not have. */
export function markOtherKey(verdict: SignatureVerdict): void {
  byOtherKey.add(verdict);
}

/** A list of requirements, and what they said. */
export interface RequirementList {
  readonly requirements: readonly PolicyRequirement[];
  readonly verdicts: readonly RequirementVerdict[];
  /** Of what has the list: without indices, a scope. */
  readonly spot: RequirementSpot;
  /** How many of them have to be met. */
  readonly needed: number;
}

/** The verdicts, where one denies a signature that another of the list is met by with what that means. */
export function explainSeveralSigners(list: RequirementList): readonly RequirementVerdict[] {
  const met = list.verdicts.filter(({ allowed }) => allowed).length;
  if (met >= list.needed) return list.verdicts;
  return list.verdicts.map((verdict, index) => {
    const other = metBySame(list.verdicts, verdict);
    return other === -1 ? verdict : { ...verdict, remedy: remedyOf(list, index, other) };
  });
}

/** The index of the requirement that counts what this one denies for its key; -1 if none does. */
function metBySame(
  verdicts: readonly RequirementVerdict[],
  { allowed, remedy, signatures = [] }: RequirementVerdict,
): number {
  // Those of one format are in the same order wherever they were judged.
  const at = signatures.findIndex((one) => one.remedy === remedy && byOtherKey.has(one));
  const format = signatures[at]?.format;
  if (allowed || format === undefined) return -1;
  return verdicts.findIndex(({ signatures: others = [] }) => {
    const same = others[at];
    return same?.format === format && same.accepted;
  });
}

function remedyOf(list: RequirementList, index: number, other: number): string {
  const { requirements, spot, needed } = list;
  const [own, met] = [requirements[index], requirements[other]];
  const isTop = spot.indices.length === 0;
  const [ownName, metName] = [index, other].map((at) => `${isTop ? "" : "requirements"}[${at}]`);
  const how = needed === requirements.length ? "All" : `${needed}`;
  const sign = `${how} requirements of ${showSpot(spot)} have to be met, each by a signature of its own, and what there is meets ${metName}: have the image signed as well by a key of ${ownName}${keysOf(own)}.`;
  return isTop
    ? `${sign} If either key is to do, remove ${ownName}, and ${merge(met, own)} ${metName}.`
    : sign;
}

function keysOf(requirement: PolicyRequirement | undefined): string {
  const paths = pathsOf(requirement);
  return paths === undefined ? "" : ` (${paths.map((path) => escapeText(path, 512)).join(", ")})`;
}

function merge(met: PolicyRequirement | undefined, own: PolicyRequirement | undefined): string {
  const [known, more] = [pathsOf(met), pathsOf(own)];
  if (known === undefined || more === undefined || met === undefined)
    return "put its key beside that of";
  const paths = [...new Set([...known, ...more])].map((path) =>
    JSON.stringify(escapeText(path, 512)),
  );
  const old = "keyPath" in met ? "keyPath" : "keyPaths";
  return `write "keyPaths": [${paths.join(", ")}] in place of the "${old}" of`;
}

function pathsOf(requirement: PolicyRequirement | undefined): readonly string[] | undefined {
  if (requirement === undefined) return undefined;
  if ("keyPath" in requirement) return [requirement.keyPath];
  return "keyPaths" in requirement ? requirement.keyPaths : undefined;
}
