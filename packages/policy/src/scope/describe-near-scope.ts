import { escapeText } from "@stowage/content";

import { likeliestFirst } from "./near-scope.ts";
import { shownScope } from "./shown-scope.ts";
import type { SimilarScope } from "./similar-scope.ts";
import type { ConsideredScope, PolicyVerdict } from "../verdict.ts";

/** What to do about the scope that is most likely meant for an image that was denied. */
export function nearRemedy(verdict: PolicyVerdict): string | undefined {
  const [near] = likeliestFirst(verdict.considered, verdict.similar ?? []);
  if (near === undefined) return undefined;
  const { line, doubt, transport, meant } = near;
  const where = line === undefined ? "" : ` in line ${line}`;
  const has = `The policy has the scope "${shownScope(near.scope)}"${where}`;
  const write = `write "${shownScope(meant)}"`;
  switch (doubt) {
    // Whoever is one letter off may be about to get somebody else's image.
    case "spelling":
      return `${has}, which is not quite this image's. If that is a slip of the policy, ${write} there; if not, look at the image's name again.`;
    case "registry":
      return `${has}, which is of another registry. A policy goes by the name that is asked for, whatever mirror delivers it: if this image is meant as well, ${write}.`;
    case "tag":
      return `${has}, which is for that tag or digest alone: if all of them are meant, ${write}.`;
    case "transport":
      return `${has} of the transport "${escapeText(transport ?? "", 80)}", which images in registries do not come by. If those are meant, ${write} below "docker".`;
    case "pattern":
      return `${has}, which matches no image: * stands only for all of what is before a host, as in *.example.com. If this image is meant, ${write}, and the others that are meant each by its own name.`;
    case "port":
      return `${has}, which is of another registry, since a port is part of its name. If that is a slip of the policy, ${write} there; if not, look at the image's name again.`;
    case "hosts":
      return `${has}, ${hostsOf(near)}. If ${isZone(meant) ? "they are" : "it is"} meant as well, ${write}.`;
    case "unnamed":
      return `${has}, which matches no image, since it names no registry. If this one's is meant, ${write} there.`;
    default:
      return `${has}, which is not this image's${hasSecret(near) ? ", since a scope has no user and no password" : ""}. If this image is meant, ${write} there.`;
  }
}

/** Notes of what an image that was allowed has most likely slipped by, each one line. */
export function nearNotes({ considered, similar = [], file }: PolicyVerdict): readonly string[] {
  return likeliestFirst(considered, similar).map(
    (near) =>
      `the scope ${placeOf(near, file)} looks like this image's and does not match: ${correction(near)}`,
  );
}

/**
 * Says in one line that an image came in unchecked, and by which slip of the policy; `undefined` where
 * what looks like one may well be meant.
 */
export function bypassWarning({
  bypassed = [],
  considered,
  file,
  image,
}: PolicyVerdict): string | undefined {
  const near = bypassed.find((one) => !mayBeMeant(one, considered));
  if (near === undefined) return undefined;
  return `${escapeText(image)} was let in unchecked: the scope ${placeOf(near, file)} looks like its own and does not match: ${correction(near)}`;
}

/**
 * As a tag of its own, another registry, or one of two on the same host. Of a tag of what the
 * repository is below, which is hardly a repository as well, nobody means only that.
 */
function mayBeMeant(
  { doubt, meant, scope }: SimilarScope,
  considered: readonly ConsideredScope[],
): boolean {
  const [port, other] = [meant, scope].map((name) => /^[^/]*:(\d+)/.exec(name)?.[1]);
  const isOtherPort = port !== undefined && other !== undefined && port !== other;
  const isOwnTag = doubt === "tag" && considered[1]?.text === meant;
  return doubt === "registry" || isOwnTag || isOtherPort;
}

function placeOf({ scope, line, transport }: SimilarScope, file: string | undefined): string {
  const below = transport === undefined ? "" : ` of the transport "${escapeText(transport, 80)}"`;
  const where = [
    ...(file === undefined ? [] : [escapeText(file)]),
    ...(line === undefined ? [] : [`line ${line}`]),
  ];
  return `"${shownScope(scope)}"${below}${where.length === 0 ? "" : ` in ${where.join(", ")},`}`;
}

function correction(near: SimilarScope): string {
  const write = `write "${shownScope(near.meant)}"`;
  switch (near.doubt) {
    case "spelling":
      return `${write} if that is meant`;
    case "registry":
      return `it is of another registry; ${write} if this image is meant as well`;
    case "tag":
      return `it is for that tag or digest alone; ${write} if all are meant`;
    case "transport":
      return `${write} below "docker" if images in registries are meant`;
    case "pattern":
      return `* stands only for all of what is before a host; ${write} if this image is meant`;
    case "port":
      return `a port is part of a registry's name; ${write} if that is meant`;
    case "hosts":
      return `${hostsOf(near).replace(/^which is/, "it is")}; ${write} if ${isZone(near.meant) ? "they are" : "it is"} meant as well`;
    case "unnamed":
      return `it names no registry; ${write} if this one's is meant`;
    default:
      return hasSecret(near) ? `a scope has no user and no password; ${write}` : write;
  }
}

function hostsOf({ scope, meant }: SimilarScope): string {
  return isZone(meant)
    ? `which is for that registry alone, and for none of a host below it`
    : `which is for the hosts below ${shownScope(scope.slice(2))}, and not for that one`;
}

function isZone(name: string): boolean {
  return name.startsWith("*.");
}

function hasSecret({ scope }: SimilarScope): boolean {
  return scope.includes("[redacted]@");
}
