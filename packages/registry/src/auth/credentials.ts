/** Who we are to a registry. */
export type Credentials =
  | { readonly username: string; readonly password: string; readonly source?: string }
  /** An OAuth2 refresh token; the token server makes short-lived tokens of it. */
  | { readonly identityToken: string; readonly source?: string }
  /** Sent as it is. */
  | { readonly bearerToken: string; readonly source?: string };

/** Finds the credentials for `repository`, a path such as `library/busybox`, at `host`. */
export interface CredentialsLookup {
  (host: string, repository: string): Promise<Credentials | undefined>;
  /** Where it looks, for messages. */
  readonly files?: readonly string[];
}

/** The header of Basic authentication; the text of both is in UTF-8. */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** Says where credentials came from, or where they were missed; never what they are. */
export function explainCredentials(
  host: string,
  credentials: Credentials | undefined,
  files: readonly string[] | undefined,
): string {
  if (credentials !== undefined) {
    const source = credentials.source === undefined ? "given" : `from ${credentials.source}`;
    return `The credentials for ${host} were those ${source}. Give others with --creds-stdin, or in the file named by --authfile.`;
  }
  const looked = files === undefined || files.length === 0 ? "" : ` in ${files.join(", ")}`;
  return `No credentials for ${host} were found${looked}. Give some with --creds-stdin, or in the file named by --authfile. Registries answer so, too, where there is no such repository.`;
}
