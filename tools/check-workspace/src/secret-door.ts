import type { WorkspacePackage } from "./workspace-package.ts";

const GATE = "src/auth/auth-gate.ts";
const SECRET = "src/auth/secret.ts";
// Where secrets come into being: what the user gives, keeps in files or has a helper tell.
const SOURCES = "src/auth/";
const OPENS = /\brevealSecret\b/;
const CARRIES = /\bauthorization["']?\s*[:}]|["']authorization["']/i;
const READS = /\.(?:identityToken|bearerToken)\b|\bcredentials\??\.password\b/;

/**
 * That of the registry client only the gate can open a secret or put one on a request, and that
 * nothing outside `src/auth` looks into credentials.
 */
export function checkSecretDoor({ name, sources }: WorkspacePackage): string[] {
  if (name !== "registry") return [];
  return [...sources].flatMap(([path, text]) => {
    const code = withoutComments(text);
    return [
      ...(OPENS.test(code) && path !== GATE && path !== SECRET
        ? [`${path}: opens a secret; ${GATE} alone may`]
        : []),
      ...(CARRIES.test(code) && path !== GATE
        ? [`${path}: names the authorization header; ${GATE} alone may`]
        : []),
      ...(READS.test(code) && !path.startsWith(SOURCES)
        ? [`${path}: looks into credentials; ${SOURCES} alone may`]
        : []),
    ];
  });
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*.*?\*\/|\/\/[^\n]*/gs, "");
}
