const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]{0,31}:\/\//;
const DIGEST = /^(?:sha|blake|md)\w{0,8}:/i;
const PORT = /^\d{1,5}$/;

/**
 * The user and password, or the token, that somebody typed before a name, as tools take it that read
 * URLs: `user:password` of `https://user:password@host/name`. No reference has such a part, so that
 * there is none in one that is right. In doubt, text is taken for credentials.
 *
 * Takes time linear to the text, and is cut by hand for that.
 *
 * @returns `undefined` where there are none.
 */
export function typedCredentials(text: string): string | undefined {
  const place = findCredentials(text);
  return place && text.slice(place.start, place.end);
}

/** Takes {@link typedCredentials} out of a text. */
export function redactCredentials(text: string): string {
  const place = findCredentials(text);
  if (place === undefined) return text;
  return `${text.slice(0, place.start)}[redacted]${text.slice(place.end)}`;
}

function findCredentials(
  text: string,
): { readonly start: number; readonly end: number } | undefined {
  const start = SCHEME.exec(text)?.[0].length ?? 0;
  let end = text.lastIndexOf("@");
  let next = text.length;
  if (end > start && DIGEST.test(text.slice(end + 1, end + 16))) {
    next = end;
    end = text.lastIndexOf("@", end - 1);
  }
  if (end <= start) return undefined;
  const before = text.slice(start, end);
  const slash = before.indexOf("/");
  const isUrl = start > 0 && slash === -1;
  const hasPath = text.slice(end, next).includes("/");
  if (!isUrl && !hasPath && isName(before, slash)) return undefined;
  return { start, end };
}

/** Whether what stands before the `@` of what may be a digest, or was to be one, is as names are. */
function isName(before: string, slash: number): boolean {
  const colon = before.indexOf(":");
  if (colon === -1 || (slash !== -1 && slash < colon)) return true;
  return slash !== -1 && PORT.test(before.slice(colon + 1, slash));
}
