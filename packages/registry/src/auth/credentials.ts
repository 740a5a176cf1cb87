import { Secret } from "./secret.ts";

/** Who we are to a registry. */
export type Credentials =
  | { readonly username: string; readonly password: string; readonly source?: string }
  /** An OAuth2 refresh token; the token server makes short-lived tokens of it. */
  | { readonly identityToken: string; readonly source?: string }
  /** Sent as it is. */
  | { readonly bearerToken: string; readonly source?: string };

/** Finds the credentials for `repository`, a path such as `library/busybox`, at `host`. */
export interface CredentialsLookup {
  (
    host: string,
    repository: string,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<Credentials | undefined>;
  /** Where it looks, for messages. */
  readonly files?: readonly string[];
}

/** {@link Credentials} whose secret only the gate can read. */
export type SealedCredentials = {
  readonly secret: Secret;
  readonly source: string | undefined;
} & (
  | { readonly type: "password"; readonly username: string }
  | { readonly type: "identity-token" }
  | { readonly type: "bearer-token" }
);

/** Locks the secret of credentials away, as the first thing that is done to them. */
export function sealCredentials(credentials: Credentials): SealedCredentials {
  const { source } = credentials;
  if ("username" in credentials) {
    const { username, password } = credentials;
    return { type: "password", username, secret: new Secret(password), source };
  }
  return "identityToken" in credentials
    ? { type: "identity-token", secret: new Secret(credentials.identityToken), source }
    : { type: "bearer-token", secret: new Secret(credentials.bearerToken), source };
}

/**
 * Says where credentials came from, or where they were missed; never what they are.
 *
 * @param tokenServer - who took them, and gave a token that the registry refuses.
 */
export function explainCredentials(
  host: string,
  credentials: { readonly source?: string | undefined } | undefined,
  files: readonly string[] | undefined,
  tokenServer?: string,
): string {
  if (credentials !== undefined) {
    const source = credentials.source === undefined ? "given" : `from ${credentials.source}`;
    if (tokenServer !== undefined) {
      return `The token server ${tokenServer} took the credentials for ${host} that were ${source}, and ${host} refuses its token. Whose they are may lack the right to this repository, or a clock is wrong.`;
    }
    return `The credentials for ${host} were those ${source}. Log in again with stowage login ${host}, or give others with --creds-stdin or in the file named by --authfile.`;
  }
  const looked = files === undefined || files.length === 0 ? "" : ` in ${files.join(", ")}`;
  return `No credentials for ${host} were found${looked}. Log in with stowage login ${host}, or give some with --creds-stdin or in the file named by --authfile. Registries answer so, too, where there is no such repository.`;
}
