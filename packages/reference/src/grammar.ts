/**
 * The grammar of image references, as containers/image has it.
 *
 * ```text
 * reference  = name [ ":" tag ] [ "@" digest ]
 * name       = [ domain "/" ] component *( "/" component )      at most 255 characters
 * domain     = label *( "." label ) [ ":" port ]
 * label      = alnum [ *( alnum / "-" ) alnum ]                 either case
 * port       = 1 to 65535, without leading zeros
 * component  = run *( ( "." / "_" / "__" / 1*"-" ) run )
 * run        = 1*( lower-case letter / digit )
 * tag        = ( alnum / "_" ) *127( alnum / "_" / "." / "-" )
 * digest     = word *( ( "-" / "_" / "+" / "." ) word ) ":" 32*hex
 * word       = letter *alnum
 * ```
 *
 * Two runs always have a separator between them, and a separator never begins with what a run may
 * hold, so each expression has one way to match and its time is linear in the text.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docker/reference/regexp.go
 * @module
 */

/** The parts of a text that the grammar accepts; nothing about their meaning is checked yet. */
export interface ReferenceParts {
  /** Empty if the first component can not be a domain. */
  readonly domain: string;
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** The most characters that domain, slash and path may have together. */
export const MAX_NAME_LENGTH = 255;

const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
const DOMAIN = new RegExp(`^${LABEL}(?:\\.${LABEL})*(?::([0-9]+))?$`);
const PORT = /^[1-9][0-9]{0,4}$/;
const MAX_PORT = 65_535;
const COMPONENT = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}$/;
const IDENTIFIER = /^[0-9a-f]{64}$/;

/**
 * Cuts `text` at the places where the grammar allows only one cut; `undefined` if it is none of
 * the language. Length limits of the name and the digest's algorithm are the caller's.
 */
export function splitReference(text: string): ReferenceParts | undefined {
  const at = text.indexOf("@");
  const digest = at === -1 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !DIGEST.test(digest)) return undefined;
  const tagged = at === -1 ? text : text.slice(0, at);
  const colon = tagged.indexOf(":", tagged.lastIndexOf("/") + 1);
  const tag = colon === -1 ? undefined : tagged.slice(colon + 1);
  if (tag !== undefined && !isTag(tag)) return undefined;
  const name = splitName(colon === -1 ? tagged : tagged.slice(0, colon));
  if (name === undefined) return undefined;
  return {
    ...name,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** Whether `text` is a host that a name may begin with, port included. */
export function isDomain(text: string): boolean {
  const match = DOMAIN.exec(text);
  if (match === null) return false;
  const port = match[1];
  return port === undefined || (PORT.test(port) && Number(port) <= MAX_PORT);
}

/** Whether `text` is one or more path components. */
export function isPath(text: string): boolean {
  return text.split("/").every((component) => COMPONENT.test(component));
}

/** Whether `text` looks like the ID of an image: 64 lower-case hex digits and nothing else. */
export function isIdentifier(text: string): boolean {
  return IDENTIFIER.test(text);
}

function splitName(name: string): { readonly domain: string; readonly path: string } | undefined {
  const slash = name.indexOf("/");
  if (slash !== -1) {
    const domain = name.slice(0, slash);
    const path = name.slice(slash + 1);
    if (isDomain(domain) && isPath(path)) return { domain, path };
  }
  return isPath(name) ? { domain: "", path: name } : undefined;
}
