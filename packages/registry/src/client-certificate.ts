import { createPrivateKey, X509Certificate } from "node:crypto";

import { certificatesIn, invalidCertificate, readText } from "./certificate-file.ts";

/** A client's certificate chain and its key, in PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads a client's certificate and its key, from one file or from two, and holds one to the other.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CERTIFICATE` naming the file.
 */
export async function readClientCertificate(
  path: string,
  keyPath: string = path,
): Promise<ClientCertificate> {
  const text = await readText(path);
  const blocks = certificatesIn(text);
  const chain = blocks.filter((block) => block.startsWith("-----BEGIN CERTIFICATE-----"));
  if (chain.length === 0 || (keyPath !== path && chain.length < blocks.length)) {
    throw invalidCertificate(path, "it is not a list of certificates in PEM");
  }
  const key = keyPath === path ? blocks.find(isPrivateKey) : await readText(keyPath);
  if (key === undefined) throw invalidCertificate(path, "it holds no private key in PEM");
  requireMatch(path, chain, keyPath, key);
  return { cert: keyPath === path ? chain.join("\n") : text, key };
}

function isPrivateKey(block: string): boolean {
  return /^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/u.test(block);
}

function requireMatch(path: string, chain: readonly string[], keyPath: string, key: string): void {
  let parsed: X509Certificate | undefined;
  try {
    [parsed] = chain.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw invalidCertificate(path, "it is not a list of certificates in PEM", cause);
  }
  let matches: boolean | undefined;
  try {
    matches = parsed?.checkPrivateKey(createPrivateKey(key));
  } catch {
    // No cause: OpenSSL's message is about bytes of a private key.
    throw invalidCertificate(keyPath, "it is not a private key in PEM without a passphrase");
  }
  if (matches !== true) throw invalidCertificate(keyPath, `it is not the key of ${path}`);
}
