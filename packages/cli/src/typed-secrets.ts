import { escapeText } from "@stowage/content";
import { typedCredentials } from "@stowage/reference";

/** What of a password is enough to know it again, where a message was cut. */
const MIN_LENGTH = 4;

/** Takes what may be credentials out of a text; answers the same text where there are none. */
export type Redact = (text: string) => string;

/**
 * Redacts what was typed as `user:password@…` in any argument: other tools take that, and messages
 * of whatever command quote what they were called with.
 */
export function redactorOf(argv: readonly string[]): Redact {
  const secrets = argv.flatMap(secretsIn);
  return (text) => secrets.reduce(withoutSecret, text);
}

/** The longer first, which has the other in it. */
function secretsIn(argument: string): readonly string[] {
  // Of an option, the value may be one.
  const at = argument.startsWith("--") ? argument.indexOf("=") + 1 : 0;
  const typed = typedCredentials(argument.slice(at));
  if (typed === undefined) return [];
  const password = typed.slice(typed.indexOf(":") + 1);
  // As messages have it.
  return [typed, ...(password.length < MIN_LENGTH ? [] : [password])].map((secret) =>
    escapeText(secret, secret.length),
  );
}

function withoutSecret(text: string, secret: string): string {
  const head = secret.slice(0, Math.max(secret.indexOf(":") + 1, 0) + MIN_LENGTH);
  let clean = "";
  let done = 0;
  for (let at = text.indexOf(head); at !== -1; at = text.indexOf(head, done)) {
    let end = at + head.length;
    while (end < text.length && end - at < secret.length && text[end] === secret[end - at]) {
      end += 1;
    }
    clean += `${text.slice(done, at)}[redacted]`;
    done = end;
  }
  return clean + text.slice(done);
}
