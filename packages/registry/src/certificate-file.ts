import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

import { hasErrorCode } from "@stowage/content";

import { RegistryError } from "./registry-error.ts";

/** Reads a file of certificates in PEM, at least one, and nothing that only looks like one. */
export async function readCertificates(path: string): Promise<string> {
  const text = await readText(path);
  try {
    if (certificatesIn(text).map((block) => new X509Certificate(block)).length > 0) return text;
  } catch (cause) {
    throw invalidCertificate(path, "it is not a list of certificates in PEM", cause);
  }
  throw invalidCertificate(path, "it holds no certificate in PEM");
}

/** The blocks of a text in PEM, each alone. */
export function certificatesIn(text: string): readonly string[] {
  return text.match(/-----BEGIN [^-]*-----[^-]*-----END [^-]*-----/gu) ?? [];
}

// At once: there may be hundreds, and to hand one to another thread takes longer than to read it.
export async function readText(path: string): Promise<string> {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const what = hasErrorCode(cause, "ENOENT") ? "it is not there" : "it cannot be read";
    throw invalidCertificate(path, what, cause);
  }
}

/** A complaint about a file or directory of certificates. */
export function invalidCertificate(
  path: string,
  what: string,
  cause?: unknown,
  hint = "Mend or remove the file. Connections that it is for are refused until then.",
): RegistryError {
  return new RegistryError("ERR_REGISTRY_INVALID_CERTIFICATE", `${path}: ${what}`, {
    hint,
    ...(cause !== undefined && { cause }),
  });
}
