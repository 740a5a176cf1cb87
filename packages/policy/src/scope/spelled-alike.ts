/** What is shorter than this differs from too much by one letter. */
const MIN_HOST = 4;
const MIN_PART = 2;
/** As `rncr` is than `mcr`. */
const MAX_LONGER = 2;

/**
 * Whether two names are the same but for one slip: one part has one other letter, or letters that look
 * like others, and all else is the same.
 */
export function isSpelledAlike(name: string, scope: string): boolean {
  if (Math.abs(name.length - scope.length) > MAX_LONGER) return false;
  const shorter = Math.min(name.length, scope.length);
  let start = 0;
  while (start < shorter && name[start] === scope[start]) start += 1;
  let end = 0;
  while (end < shorter - start && name[name.length - 1 - end] === scope[scope.length - 1 - end])
    end += 1;
  const [part, other] = [partOf(name, start, end), partOf(scope, start, end)];
  if (part === undefined || other === undefined || part === other) return false;
  const least = !name.slice(0, start).includes("/") ? MIN_HOST : MIN_PART;
  if (part.length < least || other.length < least || isOtherNumber(part, other)) return false;
  return fold(part) === fold(other) || isOneEditAway(part, other);
}

/** The part that has all but so much of a begin and of an end; `undefined` if none has all of that. */
function partOf(name: string, start: number, end: number): string | undefined {
  const stop = name.length - end;
  if (name.slice(start, stop).includes("/")) return undefined;
  const from = start === 0 ? 0 : name.lastIndexOf("/", start - 1) + 1;
  const to = name.indexOf("/", stop);
  return name.slice(from, to === -1 ? undefined : to);
}

/** What fonts make the same. */
export function fold(text: string): string {
  return text.toLowerCase().replaceAll("rn", "m").replaceAll("0", "o").replaceAll(/[1i]/g, "l");
}

/** Whether one letter was left out, added, taken for another, or exchanged with the next. */
export function isOneEditAway(one: string, other: string): boolean {
  if (Math.abs(one.length - other.length) > 1) return false;
  let begin = 0;
  while (begin < one.length && one[begin] === other[begin]) begin += 1;
  const rest = [one.slice(begin), other.slice(begin)] as const;
  const [a, b] = rest;
  const isSwap = a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2);
  return a.slice(1) === b.slice(1) || a === b.slice(1) || a.slice(1) === b || isSwap;
}

/** As `v1` and `v2`, which nobody takes for each other. */
function isOtherNumber(one: string, other: string): boolean {
  return /\d/.test(one) && one.replace(/\d+/g, "0") === other.replace(/\d+/g, "0");
}
