import { readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";

import {
  certificatesIn,
  invalidCertificate,
  readCertificates,
  readText,
} from "../certificate-file.ts";

/**
 * The authorities that `$SSL_CERT_FILE` and `$SSL_CERT_DIR` name, in PEM; `undefined` if neither is
 * set. Whoever sets one says whom to trust, so the usual authorities are not added. Of a directory,
 * what holds no certificate is passed over.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CERTIFICATE` if a file or directory cannot be
 *   read, or if nothing in them is a certificate: going on would be to trust others.
 */
export function loadAuthorities(
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[] | undefined> {
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: directories } = env;
  const key = `${file ?? ""}\0${directories ?? ""}`;
  let loaded = known.get(key);
  if (loaded === undefined) {
    loaded = read(file || undefined, directories || undefined);
    known.set(key, loaded);
    // What is mended must be read again.
    loaded.catch(() => known.delete(key));
  }
  return loaded;
}

// Once for the process, as Node does with those of the system: there may be hundreds of files.
const known = new Map<string, Promise<readonly string[] | undefined>>();

async function read(
  file: string | undefined,
  directories: string | undefined,
): Promise<readonly string[] | undefined> {
  if (file === undefined && directories === undefined) return undefined;
  const texts = file === undefined ? [] : [await readCertificates(file)];
  for (const directory of (directories ?? "").split(delimiter)) {
    if (directory !== "") texts.push(...(await readDirectory(directory)));
  }
  // The system's directory names each one several times, and a bundle has them all again.
  return [...new Set(texts.flatMap(certificatesIn))];
}

async function readDirectory(directory: string): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    names = (await readdir(directory, { withFileTypes: true }))
      .filter((entry) => entry.isFile() || entry.isSymbolicLink())
      .map(({ name }) => name)
      .sort();
  } catch (cause) {
    throw invalidCertificate(directory, "it cannot be listed", cause);
  }
  const texts: string[] = [];
  for (const name of names) {
    const text = await readText(join(directory, name));
    if (certificatesIn(text).length > 0) texts.push(text);
  }
  if (texts.length === 0) throw invalidCertificate(directory, "it holds no certificate in PEM");
  return texts;
}
