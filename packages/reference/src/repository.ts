import { isDomain, MAX_NAME_LENGTH } from "./grammar.ts";
import { InvalidReferenceError } from "./invalid-reference-error.ts";
import { parseReference } from "./reference.ts";

declare const hostBrand: unique symbol;
declare const pathBrand: unique symbol;

/** A checked registry: host name or IPv4 address, and a port if it was written. */
export type RegistryHost = string & { readonly [hostBrand]: true };

/** A checked path of a repository inside its registry, `library/` filled in. */
export type RepositoryPath = string & { readonly [pathBrand]: true };

/** Where images of one name are kept. */
export interface Repository {
  /** Compared with its case, as containers/image does, although DNS has none. */
  readonly host: RegistryHost;
  readonly path: RepositoryPath;
}

/**
 * Reads a repository, filling in `docker.io` and `library/` as {@link parseReference} does.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_INVALID` if there is a tag or a digest, or
 *   as {@link parseReference} does.
 */
export function parseRepository(text: string): Repository {
  const { repository, tag, digest } = parseReference(text);
  if (tag !== undefined || digest !== undefined) {
    throw new InvalidReferenceError(
      "ERR_REFERENCE_INVALID",
      text,
      `is not a repository: it has a ${tag === undefined ? "digest" : "tag"}`,
    );
  }
  return repository;
}

/** The full name, `host/path`. */
export function formatRepository(repository: Repository): string {
  return `${repository.host}/${repository.path}`;
}

/** @throws {@link InvalidReferenceError} `ERR_REFERENCE_INVALID` unless `text` is `host[:port]`. */
export function parseRegistryHost(text: string): RegistryHost {
  if (text.length > MAX_NAME_LENGTH || !isDomain(text)) {
    throw new InvalidReferenceError("ERR_REFERENCE_INVALID", text, "is not a registry", {
      hint: "Write host or host:port, without scheme and path.",
    });
  }
  return text as RegistryHost;
}
