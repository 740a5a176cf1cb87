import { isAbsolute } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import type { PolicyProblem, RequirementPlace } from "./policy-problem.ts";
import type { JsonSteps } from "../internal/json-lines.ts";
import { showPath } from "../internal/policy-shape.ts";
import { fieldOfInvalidKey, isPathField, keyFieldsOf } from "../key/key-field.ts";
import { readBundleMaterial } from "../sigstore/judge-sigstore-bundle.ts";
import { whoMayWrite } from "../internal/writable-by-anybody.ts";
import { keyRemedy, MAX_KEY_BYTES } from "../key/key-material.ts";
import { wantedKey } from "../key/wanted-key.ts";
import { shown } from "../key/key-path.ts";
import type { PolicyRequirement } from "../policy.ts";
import type { KeyFileReader } from "../ports.ts";
import { readSignedByKeys } from "../requirement/requirement-signed-by.ts";
import { readTrust } from "../sigstore/sigstore-trust.ts";

/** What is wrong with the keys and certificates that a requirement names. */
export async function checkKeysOf(
  requirement: PolicyRequirement,
  place: RequirementPlace,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly PolicyProblem[]> {
  const problems: PolicyProblem[] = [];
  for (const [at, part] of partsOf(requirement, place)) {
    try {
      await readKeysOf(part, readKeyFile, signal);
    } catch (error) {
      if (!hasErrorCode(error, "ERR_POLICY_INVALID_KEY")) throw error;
      const field = fieldOfInvalidKey(part, error);
      problems.push({
        severity: "error",
        path: at.path,
        ...at.lineOf(field),
        problem: error.message,
        remedy: keyRemedy(error, wantedKey(part.type, field)),
      });
    }
  }
  return problems;
}

/** Finds files of keys that are there, but only as long as commands run where this one does. */
export async function checkRelativePaths(
  requirement: PolicyRequirement,
  place: RequirementPlace,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly PolicyProblem[]> {
  const problems: PolicyProblem[] = [];
  for (const [at, part] of partsOf(requirement, place)) {
    for (const [steps, file] of keyFieldsOf(part)) {
      if (!isPathField(steps) || isAbsolute(file)) continue;
      if (!(await isRead(file, readKeyFile, signal))) continue;
      problems.push({
        severity: "warning",
        path: `${at.path}.${showPath(steps)}`,
        ...at.lineOf(steps),
        problem: `is "${escapeText(file, 512)}", which is no absolute path: which file that is depends on where a command is run`,
        remedy: `Write "${shown(file)}", if that is meant, which it is from here.`,
      });
    }
  }
  return problems;
}

/** Finds files of keys that others than their owner may change: whoever does is trusted then. */
export async function checkWritableKeys(
  part: PolicyRequirement,
  path: string,
): Promise<readonly PolicyProblem[]> {
  if ("requirements" in part) return [];
  const problems: PolicyProblem[] = [];
  for (const [steps, file] of keyFieldsOf(part)) {
    if (!isPathField(steps)) continue;
    for (const { problem, remedy } of await whoMayWrite(file)) {
      problems.push({ severity: "warning", path: `${path}.${showPath(steps)}`, problem, remedy });
    }
  }
  return problems;
}

/** A requirement and all that it is made of, each with its place. */
export function* partsOf(
  requirement: PolicyRequirement,
  place: RequirementPlace,
): Generator<readonly [RequirementPlace, PolicyRequirement]> {
  yield [place, requirement];
  if (!("requirements" in requirement)) return;
  for (const [index, part] of requirement.requirements.entries()) {
    const inside: JsonSteps = ["requirements", index];
    yield* partsOf(part, {
      ...place,
      path: `${place.path}.${showPath(inside)}`,
      lineOf: (steps) => place.lineOf([...inside, ...steps]),
    });
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
