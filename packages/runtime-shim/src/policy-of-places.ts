import { realpath } from "node:fs/promises";
import { join } from "node:path";

import { type Digest, encodedOf } from "@stowage/content";
import type { PolicySubject } from "@stowage/image-service";
import type { FoundSignatures } from "@stowage/policy";

import { formatCopyLocation } from "./copy/copy-location.ts";
import type { LocalLocation, LocalSource } from "./copy/local-source.ts";
import { type AskPolicyOptions, openEvaluator, type PolicyQuestion } from "./wire-policy-gate.ts";
import type { SignatureFinder } from "./wire-signature-source.ts";

/**
 * What the policy says of an image on this machine, as skopeo asks before it copies one: by the
 * scopes of its transport, with links in its path resolved, and by the signatures that lie beside it.
 */
export async function askPolicyOfPlace(
  location: LocalLocation,
  source: LocalSource,
  { manifest, index }: PolicySubject,
  how: AskPolicyOptions,
): Promise<PolicyQuestion> {
  const { readSignatureFiles } = await import("@stowage/policy");
  const where = whereSignaturesAre(location, index && manifest.digest);
  const finder: SignatureFinder = {
    async find(wait) {
      const files = await source.signatureFiles?.(manifest.digest, { signal: wait });
      return files === undefined ? without(where) : readSignatureFiles(files, where);
    },
  };
  const subject = await subjectOf(location, source, manifest.digest);
  return { evaluator: await openEvaluator(finder, how), subject, finder };
}

/** @param instance - the one image of an index that is meant; its files have its digest in their names. */
function whereSignaturesAre(location: LocalLocation, instance: Digest | undefined): string {
  if (location.transport !== "dir") return formatCopyLocation(location);
  const prefix = instance === undefined ? "" : `${encodedOf(instance)}.`;
  return join(location.path, `${prefix}signature-N`);
}

async function subjectOf(
  location: LocalLocation,
  { found }: LocalSource,
  manifestDigest: Digest,
): Promise<PolicyQuestion["subject"]> {
  switch (location.transport) {
    case "containers-storage": {
      const { transport, image } = location;
      if (found === undefined) throw new TypeError("a place that was not found");
      const { driver, graphRoot, id } = found;
      // What could be either was one of the two.
      const isByID = image.id !== undefined && id.startsWith(image.id);
      const isByName = image.isEither !== true || !isByID;
      return {
        transport,
        driver,
        graphRoot,
        reference: isByName ? image.reference : undefined,
        id: isByID ? id : undefined,
        manifestDigest,
      };
    }
    case "docker-archive":
      return { transport: location.transport, manifestDigest };
    case "docker-daemon": {
      const { transport, image } = location;
      const reference = typeof image === "string" ? undefined : image;
      return { transport, reference, manifestDigest };
    }
    default: {
      const { transport, path } = location;
      return { transport, path: await realpath(path), manifestDigest };
    }
  }
}

function without(location: string): FoundSignatures {
  const skipped = "only folders (dir:) and podman's store keep signatures beside an image";
  return { signatures: [], places: [{ kind: "folder", location, skipped }] };
}
