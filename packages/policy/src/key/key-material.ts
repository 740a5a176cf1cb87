/**
 * Keys and certificates that a policy names: in files, or in the policy itself.
 *
 * @module
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { resolve } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import { howToPermit } from "../internal/how-to-permit.ts";
import { badPath } from "./key-path.ts";
import { PolicyError, type PolicyErrorOptions } from "../policy-error.ts";
import type { KeyFileReader } from "../ports.ts";
import { hasCredentials, withoutSecrets } from "../scope/shown-scope.ts";

/** Bytes that are to hold keys, and what to call them. */
export interface KeyMaterial {
  /** The path of the file, or the field of the policy. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Where keys are; the fields of a requirement, without what they are called there. */
export interface KeyMaterialSource {
  readonly paths?: readonly string[] | undefined;
  /** Base64, which was checked when the policy was read. */
  readonly datas?: readonly string[] | undefined;
  /** What the data is called in messages. */
  readonly dataName?: string | undefined;
}

/** The most bytes of a file of keys. */
export const MAX_KEY_BYTES: number = 512 * 1024;

/**
 * Reads all of them, in order. One that cannot be read is an error, however many others there are:
 * who lists a key means it.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_KEY`
 */
export async function readKeyMaterial(
  source: KeyMaterialSource,
  read: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly KeyMaterial[]> {
  const found: KeyMaterial[] = [];
  for (const path of source.paths ?? []) {
    const bytes = await read(path, { maxBytes: MAX_KEY_BYTES, signal });
    if (bytes.byteLength === 0) throw invalidKey(path, "is empty");
    found.push({ name: path, bytes });
  }
  const { datas = [], dataName = "keyData" } = source;
  for (const [index, data] of datas.entries()) {
    const name = dataName.endsWith("s") ? `${dataName}[${index}]` : dataName;
    found.push({ name, bytes: Buffer.from(data, "base64") });
  }
  return found;
}

/** Reads a plain file, links followed. */
export const readKeyFile: KeyFileReader = async (path, { maxBytes, signal }) => {
  signal?.throwIfAborted();
  // Whoever pastes a key where its path belongs may have pasted a private one.
  if (path.includes("-----BEGIN")) {
    throw invalidKey(
      "the path",
      path.includes("PRIVATE KEY")
        ? "is a key itself, and a private one, which is for its signer alone: take it out, have the signer make another if others may have read it, and name a file of the public key"
        : "is a key itself: keep it in a file, or give it as data in base64",
    );
  }
  try {
    // Without O_NONBLOCK, opening a FIFO waits for a writer, who may never come.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = await file.stat();
    if (!status.isFile()) throw invalidKey(path, "is no plain file");
    const buffer = Buffer.alloc(maxBytes + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > maxBytes) throw invalidKey(path, `is longer than ${maxBytes} bytes`);
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    if (hasErrorCode(cause, "ERR_POLICY_INVALID_KEY")) throw cause;
    const isForbidden = hasErrorCode(cause, "EACCES", "EPERM");
    const hint = isForbidden ? `${await howToPermit(resolve(path))}.` : undefined;
    throw invalidKey(path, badPath(path, cause), { hint });
  }
};

/** An `ERR_POLICY_INVALID_KEY` that knows which key it is of. */
class InvalidKeyError extends PolicyError {
  // Private, since it may have a password, and whoever looks at an error sees all else that it has.
  readonly #material: string;

  constructor(material: string, message: string, options: PolicyErrorOptions) {
    super("ERR_POLICY_INVALID_KEY", message, options);
    this.#material = material;
  }

  static materialOf(error: unknown): string | undefined {
    return error instanceof InvalidKeyError ? error.#material : undefined;
  }
}

/** The path of the file, or the field of the policy, that an error says is no key. */
export function invalidMaterialOf(error: unknown): string | undefined {
  return InvalidKeyError.materialOf(error);
}

/** What is to be done about an error of a key; `otherwise` where it does not say itself. */
export function keyRemedy(error: Error & { readonly hint?: string }, otherwise: string): string {
  return error.hint === undefined || error.hint === NO_KEY_HINT ? otherwise : error.hint;
}

const NO_KEY_HINT =
  "Until the policy names keys that can be read, no image of this scope can be allowed.";

export function invalidKey(
  name: string,
  problem: string,
  {
    cause,
    hint = NO_KEY_HINT,
  }: { readonly cause?: unknown; readonly hint?: string | undefined } = {},
): PolicyError {
  const isFit = cause !== undefined && !hasCredentials(name);
  return new InvalidKeyError(name, `${shownName(name)} ${problem}`, {
    ...(isFit ? { cause } : {}),
    hint,
  });
}

/** In quotes where nobody would see how it begins or ends. */
function shownName(name: string): string {
  const shown = escapeText(withoutSecrets(name));
  return name.trim() === name ? shown : `"${shown}"`;
}
