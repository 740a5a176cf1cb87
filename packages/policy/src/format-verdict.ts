import { escapeText } from "@stowage/content";

import { nearNotes } from "./scope/describe-near-scope.ts";
import { missingNote } from "./registries-d/explain-lookaside.ts";
import type { SignaturePlace } from "./ports.ts";
import { describeScope, remedyOf, withoutPlaces } from "./rejection.ts";
import { reasonsOf } from "./requirement/requirement-combined.ts";
import type { PolicyVerdict, RequirementVerdict, SignatureVerdict } from "./verdict.ts";

/** The whole of a verdict as text for a terminal, several lines without a last line end. */
export function formatVerdict(verdict: PolicyVerdict): string {
  const { allowed, transport, image, file, scope, requirements, manifestDigest } = verdict;
  const name = image === "" ? transport : escapeText(image);
  const by = file === undefined ? "the policy" : escapeText(file);
  const { places } = verdict;
  const isNew = sayOnce();
  return [
    `${name} is ${allowed ? "allowed" : verdict.undecided ? "NOT DECIDED" : "REJECTED"} by ${by}`,
    ...(manifestDigest === undefined ? [] : [`  manifest: ${manifestDigest}`]),
    `  scope: ${describeScope(transport, scope)}`,
    ...missed(verdict),
    ...places.map((place) => formatPlace(place, isNew)),
    ...requirements.flatMap((requirement, index) =>
      formatRequirement(requirement, {
        title: `requirement ${index + 1} of ${requirements.length}`,
        indent: "  ",
        places,
        isNew,
      }),
    ),
    ...(verdict.unsigned ? ["  no requirement verified a signature, and one was asked for"] : []),
    ...remedies(verdict),
    ...(allowed ? nearNotes(verdict) : []).map((note) => `  note: ${note}`),
    ...verdict.audit.map((remark) => `  only reported: ${withoutPlaces(remark, places)}`),
  ].join("\n");
}

/** Whether a text is said for the first time. */
type IsNew = (text: string) => boolean;

function sayOnce(): IsNew {
  const said = new Set<string>();
  return (text) => {
    const isNew = !said.has(text);
    said.add(text);
    return isNew;
  };
}

function formatPlace(place: SignaturePlace, isNew: IsNew): string {
  const { kind, location, statedBy, found, skipped } = place;
  const notes = [statedBy ?? [], missingNote(place)].flat().join("; ");
  const by = notes === "" ? "" : ` (${escapeText(notes, 2000)})`;
  const why = skipped !== undefined && isNew(skipped) ? `: ${escapeText(skipped, 2000)}` : "";
  const what = skipped === undefined ? `: ${found ?? 0}` : `: not looked at${why || " either"}`;
  return `  ${kind}: ${escapeText(location, 2000)}${by}${what}`;
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

interface FormatHow {
  readonly title: string;
  readonly indent: string;
  readonly places: readonly SignaturePlace[];
  readonly isNew: IsNew;
}

function formatRequirement(requirement: RequirementVerdict, how: FormatHow): readonly string[] {
  const { title, indent, places, isNew } = how;
  const { type, allowed, remedy, signatures = [], requirements = [] } = requirement;
  const inner = `${indent}  `;
  const reason = escapeText(withoutPlaces(ownReason(requirement), places), 2000);
  return [
    `${indent}${title}, ${type}: ${allowed ? "allows" : "DENIES"}: ${reason}`,
    // Of the only one, the line above has said why.
    ...signatures.flatMap((signature) =>
      formatSignature(
        signature,
        inner,
        signatures.length === 1 && reason.endsWith(shownReason(signature)),
      ),
    ),
    ...requirements.flatMap((part, index) => {
      const at = `${index + 1} of ${requirements.length}`;
      return formatRequirement(part, { ...how, title: at, indent: inner });
    }),
    // Its parts have said theirs.
    ...(allowed || remedy === undefined || requirements.some((part) => part.remedy !== undefined)
      ? []
      : [`${inner}to pass: ${isNew(remedy) ? escapeText(remedy, 2000) : "as above"}`]),
  ];
}

/** Without the reasons of its parts, which stand below it. */
function ownReason({ reason, requirements = [] }: RequirementVerdict): string {
  const all = `: ${reasonsOf(requirements.filter(({ allowed }) => !allowed))}`;
  return requirements.length > 0 && reason.endsWith(all) ? reason.slice(0, -all.length) : reason;
}

function formatSignature(
  signature: SignatureVerdict,
  indent: string,
  isSaid: boolean,
): readonly string[] {
  const { format, origin, accepted, fault } = signature;
  const word = accepted ? "counts" : `does not count (${fault})`;
  const why = isSaid ? "" : `: ${shownReason(signature)}`;
  return [`${indent}${format} at ${escapeText(origin)} ${word}${why}`];
}

function shownReason({ reason }: SignatureVerdict): string {
  return escapeText(reason, 2000);
}
