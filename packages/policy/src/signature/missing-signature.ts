import { missingNote, statedBeside } from "../registries-d/explain-lookaside.ts";
import type { FoundSignatures, SignaturePlace } from "../ports.ts";
import type { ImageSignature } from "./signature.ts";
import type { RequirementVerdict } from "../verdict.ts";

type Format = ImageSignature["format"];

const PLACES: Readonly<Record<Format, readonly SignaturePlace["kind"][]>> = {
  "simple-signing": ["lookaside", "extension", "folder", "store"],
  "sigstore-attachment": ["attachments", "folder", "store"],
  "sigstore-bundle": ["referrers", "folder", "store"],
};

/** What is said where no signature of a format was found: where it could be, and what is there. */
export function missingSignature(
  noun: string,
  format: Format,
  { signatures, places }: FoundSignatures,
): Pick<RequirementVerdict, "reason" | "remedy"> {
  const others = new Map<string, number>();
  for (const { format } of signatures) others.set(format, (others.get(format) ?? 0) + 1);
  const beside = [...others].map(([name, count]) => `${count} of the format ${name}`).join(", ");
  const own = places.filter(({ kind }) => PLACES[format].includes(kind));
  const passed = own.find(({ skipped, kind }) => skipped !== undefined && kind !== "lookaside");
  const looked = own.filter(({ found }) => found !== undefined);
  const where = looked.length === 0 ? "" : ` in ${looked.map(showPlace).join(", ")}`;
  const reason = `a ${noun} is required, and there is none${where}${beside && ` (there are others: ${beside})`}`;
  if (own.some(({ kind }) => kind === "folder"))
    return {
      reason: passed?.skipped === undefined ? reason : `${reason}: ${passed.skipped}`,
      remedy: FOLDER_REMEDY,
    };
  if (passed?.skipped !== undefined)
    return {
      reason: `${reason}; ${passed.skipped}`,
      remedy: remedyFor(format, others, passed.remedy ?? ATTACHMENTS_REMEDY),
    };
  if (others.size === 0 && looked.some(({ kind }) => kind === "store"))
    return { reason, remedy: STORE_REMEDY };
  return { reason, remedy: remedyFor(format, others, looked.find(hasRemedy)?.remedy) };
}

function showPlace(place: SignaturePlace): string {
  const notes = [statedBeside(place) ?? [], missingNote(place)].flat();
  return notes.length === 0 ? place.location : `${place.location} (${notes.join("; ")})`;
}

function hasRemedy({ remedy }: SignaturePlace): boolean {
  return remedy !== undefined;
}

const BUNDLE_REMEDY =
  'The image is signed with bundles, as cosign 3 does: use a requirement {"type": "sigstoreBundle", "keyPath": …} with the key of its signer, or with "identity" and "trustedRootPath" instead.';
const GPG_REMEDY =
  'What is there is by GPG: use a requirement {"type": "signedBy", "keyType": "GPGKeys", "keyPath": …} with the key of its signer, if that is meant.';
const FOLDER_REMEDY =
  "Ask for the image in a registry, or copy it to a folder (dir:) together with its signatures, as skopeo does.";
const STORE_REMEDY =
  "Have the image signed if it is not, and pull it again: what the store keeps are the signatures that a pull found.";
const ATTACHMENTS_REMEDY =
  "Set use-sigstore-attachments: true for the image's scope in registries.d.";

const OF_A_COPY =
  "Those of a copy come along if it is copied with stowage copy --with-referrers; have the policy accept the name that they are for.";

/** @param lookRemedy - what the place says that it takes to find more there. */
function remedyFor(
  format: Format,
  others: ReadonlyMap<string, number>,
  lookRemedy: string | undefined,
): string {
  switch (format) {
    case "simple-signing":
      if (others.size > 0) {
        return others.has("sigstore-bundle")
          ? BUNDLE_REMEDY
          : 'The image is signed with sigstore: use a requirement {"type": "sigstoreSigned", "keyPath": …} with the key of its signer.';
      }
      if (lookRemedy !== undefined) return lookRemedy;
      return 'Have the image signed, each image of an index by itself, and say where its signatures are: docker: {"SCOPE": {lookaside: URL}} in a YAML file of registries.d.';
    case "sigstore-attachment":
      if (others.has("sigstore-bundle")) {
        return BUNDLE_REMEDY;
      }
      if (others.has("simple-signing")) return [lookRemedy ?? [], GPG_REMEDY].flat().join(" ");
      if (lookRemedy !== undefined) return lookRemedy;
      return `Have the image signed: each image of an index by itself (cosign sign --recursive). ${OF_A_COPY}`;
    case "sigstore-bundle":
      if (others.has("sigstore-attachment")) {
        return 'The image has signatures as cosign 2 writes them: use a requirement {"type": "sigstoreSigned", "keyPath": …} with the key of its signer.';
      }
      if (others.has("simple-signing")) return [lookRemedy ?? [], GPG_REMEDY].flat().join(" ");
      if (lookRemedy !== undefined) return lookRemedy;
      return `Have the image signed or attested with cosign 3, each image of an index by itself. ${OF_A_COPY}`;
  }
}
