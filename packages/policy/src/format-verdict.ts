import { escapeText } from "@stowage/content";

import { nearNotes } from "./describe-near-scope.ts";
import type { SignaturePlace } from "./ports.ts";
import { describeScope, remedyOf } from "./rejection.ts";
import type { PolicyVerdict, RequirementVerdict, SignatureVerdict } from "./verdict.ts";

/** The whole of a verdict as text for a terminal, several lines without a last line end. */
export function formatVerdict(verdict: PolicyVerdict): string {
  const { allowed, transport, image, file, scope, requirements, manifestDigest } = verdict;
  const name = image === "" ? transport : escapeText(image);
  const by = file === undefined ? "the policy" : escapeText(file);
  return [
    `${name} is ${allowed ? "allowed" : "REJECTED"} by ${by}`,
    ...(manifestDigest === undefined ? [] : [`  manifest: ${manifestDigest}`]),
    `  scope: ${describeScope(transport, scope)}`,
    ...missed(verdict),
    ...verdict.places.map(formatPlace),
    ...requirements.flatMap((requirement, index) =>
      formatRequirement(requirement, `requirement ${index + 1} of ${requirements.length}`, "  "),
    ),
    ...(verdict.unsigned ? ["  no requirement verified a signature, and one was asked for"] : []),
    ...remedies(verdict),
    ...(allowed ? nearNotes(verdict) : []).map((note) => `  note: ${note}`),
    ...verdict.audit.map((remark) => `  only reported: ${remark}`),
  ].join("\n");
}

function formatPlace({ kind, location, statedBy, found, skipped }: SignaturePlace): string {
  const by = statedBy === undefined ? "" : ` (${escapeText(statedBy, 2000)})`;
  const what = skipped === undefined ? (found ?? 0) : `not looked at: ${escapeText(skipped)}`;
  return `  ${kind}: ${escapeText(location, 2000)}${by}: ${what}`;
}

/** What no requirement says already. */
function remedies(verdict: PolicyVerdict): readonly string[] {
  const remedy = verdict.allowed ? undefined : remedyOf(verdict);
  const isSaid = verdict.requirements.some((requirement) => requirement.remedy === remedy);
  return remedy === undefined || isSaid ? [] : [`  to pass: ${escapeText(remedy, 2000)}`];
}

function missed({ considered }: PolicyVerdict): readonly string[] {
  const without = considered.filter(({ found }) => !found);
  if (without.length === 0) return [];
  const texts = without.map(({ text }) => `"${escapeText(text)}"`);
  return [`    nearer ones that the policy does not have: ${texts.join(", ")}`];
}

function formatRequirement(
  requirement: RequirementVerdict,
  title: string,
  indent: string,
): readonly string[] {
  const { type, allowed, reason, remedy, signatures = [], requirements = [] } = requirement;
  const inner = `${indent}  `;
  return [
    `${indent}${title}, ${type}: ${allowed ? "allows" : "DENIES"}: ${escapeText(reason, 2000)}`,
    ...signatures.flatMap((signature) => formatSignature(signature, inner)),
    ...requirements.flatMap((other, index) =>
      formatRequirement(other, `${index + 1} of ${requirements.length}`, inner),
    ),
    ...(allowed || remedy === undefined ? [] : [`${inner}to pass: ${escapeText(remedy, 2000)}`]),
  ];
}

function formatSignature(
  { format, origin, accepted, fault, reason }: SignatureVerdict,
  indent: string,
): readonly string[] {
  const word = accepted ? "counts" : `does not count (${fault})`;
  return [`${indent}${format} at ${escapeText(origin)} ${word}: ${escapeText(reason, 2000)}`];
}
