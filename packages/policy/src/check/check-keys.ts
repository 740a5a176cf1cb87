import { isAbsolute } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import type { PolicyProblem } from "./policy-problem.ts";
import { readBundleMaterial } from "../sigstore/judge-sigstore-bundle.ts";
import { MAX_KEY_BYTES } from "../key/key-material.ts";
import { shown } from "../key/key-path.ts";
import type { PolicyRequirement } from "../policy.ts";
import type { KeyFileReader } from "../ports.ts";
import { readSignedByKeys } from "../requirement/requirement-signed-by.ts";
import { readTrust } from "../sigstore/sigstore-trust.ts";

/**
 * What is wrong with the keys and certificates that a requirement names.
 *
 * @param path - of the requirement, as JSON.
 */
export async function checkKeysOf(
  requirement: PolicyRequirement,
  path: string,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly PolicyProblem[]> {
  const problems: PolicyProblem[] = [];
  for (const [at, part] of partsOf(requirement, path)) {
    try {
      await readKeysOf(part, readKeyFile, signal);
    } catch (error) {
      if (!hasErrorCode(error, "ERR_POLICY_INVALID_KEY")) throw error;
      problems.push({ severity: "error", path: at, problem: error.message, remedy: REMEDY });
    }
  }
  return problems;
}

const REMEDY =
  "Give it a file that can be read and holds a public key, certificates or a trusted root, as the field wants it.";

/** Finds files of keys that are there, but only as long as commands run where this one does. */
export async function checkRelativePaths(
  requirement: PolicyRequirement,
  path: string,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly PolicyProblem[]> {
  const problems: PolicyProblem[] = [];
  for (const [at, part] of partsOf(requirement, path)) {
    for (const [field, file] of part.type === "anyOf" || part.type === "audit"
      ? []
      : filesOf(part)) {
      if (isAbsolute(file) || !(await isRead(file, readKeyFile, signal))) continue;
      problems.push({
        severity: "warning",
        path: `${at}.${field}`,
        problem: `is "${escapeText(file, 512)}", which is no absolute path: which file that is depends on where a command is run`,
        remedy: `Write "${shown(file)}", if that is meant, which it is from here.`,
      });
    }
  }
  return problems;
}

/** A requirement and all that it is made of, each with its JSON path. */
function* partsOf(
  requirement: PolicyRequirement,
  path: string,
): Generator<readonly [string, PolicyRequirement]> {
  yield [path, requirement];
  if (!("requirements" in requirement)) return;
  for (const [index, part] of requirement.requirements.entries()) {
    yield* partsOf(part, `${path}.requirements[${index}]`);
  }
}

/** Whatever is called a path, with its field. */
function* filesOf(fields: object, prefix = ""): Generator<readonly [string, string]> {
  for (const [key, value] of Object.entries(fields)) {
    const field = `${prefix}${key}`;
    if (typeof value === "string" && key.endsWith("Path")) yield [field, value];
    else if (Array.isArray(value) && key.endsWith("Paths"))
      yield* value.map((file, index) => [`${field}[${index}]`, String(file)] as const);
    else if (typeof value === "object" && value !== null && !Array.isArray(value))
      yield* filesOf(value, `${field}.`);
  }
}

async function isRead(
  file: string,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await readKeyFile(file, { maxBytes: MAX_KEY_BYTES, signal });
    return true;
  } catch (error) {
    if (!hasErrorCode(error, "ERR_POLICY_INVALID_KEY")) throw error;
    return false;
  }
}

async function readKeysOf(
  requirement: PolicyRequirement,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<void> {
  switch (requirement.type) {
    case "signedBy":
      await readSignedByKeys(requirement, { readKeyFile, signal });
      return;
    case "sigstoreSigned":
      await readTrust(requirement, { readKeyFile, signal });
      return;
    case "sigstoreBundle":
      await readBundleMaterial(requirement, { readKeyFile, signal });
      return;
    default:
  }
}
