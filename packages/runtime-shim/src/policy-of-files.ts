import { realpath } from "node:fs/promises";

import type { PolicySubject } from "@stowage/image-service";
import type { FoundSignatures } from "@stowage/policy";

import type { FileLocation } from "./copy/file-source.ts";
import { type AskPolicyOptions, openEvaluator, type PolicyQuestion } from "./wire-policy-gate.ts";
import type { SignatureFinder } from "./wire-signature-source.ts";

/**
 * What the policy says of an image in files, as skopeo asks before it copies one: by the scopes of
 * its transport, with links in its path resolved, and by the signatures that lie beside it.
 */
export async function askPolicyOfFile(
  location: FileLocation,
  { manifest, index }: PolicySubject,
  how: AskPolicyOptions,
): Promise<PolicyQuestion> {
  const { readFolderSignatures } = await import("@stowage/policy");
  const { transport } = location;
  const path = await realpath(location.path);
  const instance = index && manifest.digest;
  const finder: SignatureFinder = {
    find: async (wait) =>
      transport === "dir"
        ? await readFolderSignatures(path, { instance, signal: wait })
        : without(`${transport}:${path}`),
  };
  const manifestDigest = manifest.digest;
  return {
    evaluator: await openEvaluator(finder, how),
    subject:
      transport === "docker-archive"
        ? { transport, manifestDigest }
        : { transport, path, manifestDigest },
    finder,
  };
}

function without(location: string): FoundSignatures {
  const skipped = "only folders (dir:) keep signatures beside an image in files";
  return { signatures: [], places: [{ kind: "folder", location, skipped }] };
}
