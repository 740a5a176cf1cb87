/** One way that a server offers to authenticate. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case; empty where the server sent a token68 or nothing. */
  readonly parameters: ReadonlyMap<string, string>;
}

const MAX_LENGTH = 16 * 1024;
const MAX_CHALLENGES = 20;
const SEPARATORS = /[ \t,]*/y;
const SPACES = /[ \t]+/y;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const PARAMETER =
  /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z:/-]+)|"((?:[^"\\\u0000-\u0008\u000a-\u001f\u007f]|\\[\t\u0020-\u007e])*)")/y;

/**
 * Reads the values of `WWW-Authenticate`. Total: what cannot be read, and what follows it in the
 * same header, is left out, as is a challenge that names a parameter twice.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
 */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  const values = header === undefined ? [] : typeof header === "string" ? [header] : header;
  return values.flatMap(parseValue).slice(0, MAX_CHALLENGES);
}

function parseValue(text: string): Challenge[] {
  const challenges: Challenge[] = [];
  if (text.length > MAX_LENGTH) return challenges;
  let position = 0;
  const take = (expression: RegExp): RegExpExecArray | null => {
    expression.lastIndex = position;
    const match = expression.exec(text);
    if (match !== null) position = expression.lastIndex;
    return match;
  };
  while (challenges.length < MAX_CHALLENGES) {
    take(SEPARATORS);
    const scheme = take(TOKEN)?.[0].toLowerCase();
    if (scheme === undefined) break;
    const parameters = new Map<string, string>();
    let valid = true;
    if (take(SPACES) !== null && take(TOKEN68) === null) {
      for (;;) {
        const before = position;
        take(SEPARATORS);
        const parameter = take(PARAMETER);
        if (parameter === null) {
          // No parameter: the next challenge's scheme, the end, or rubbish.
          position = before;
          break;
        }
        const name = (parameter[1] ?? "").toLowerCase();
        if (parameters.has(name)) valid = false;
        parameters.set(name, parameter[2] ?? (parameter[3] ?? "").replace(/\\(.)/gsu, "$1"));
      }
    }
    if (!/^[ \t]*(?:,|$)/u.test(text.slice(position))) break;
    if (valid) challenges.push({ scheme, parameters });
  }
  return challenges;
}
