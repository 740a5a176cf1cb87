/** What is shorter than this differs from too much by one letter. */
const MIN_HOST = 4;
const MIN_PART = 2;

/**
 * Whether two names are the same but for one slip: one part has one other letter, or letters that look
 * like others, and all else is the same.
 */
export function isSpelledAlike(name: string, scope: string): boolean {
  const [parts, others] = [name.split("/"), scope.split("/")];
  if (parts.length !== others.length) return false;
  const at = parts.findIndex((part, index) => part !== others[index]);
  const [part = "", other = ""] = [parts[at], others[at]];
  if (at === -1 || parts.slice(at + 1).join("/") !== others.slice(at + 1).join("/")) return false;
  const least = at === 0 ? MIN_HOST : MIN_PART;
  if (part.length < least || other.length < least || isOtherNumber(part, other)) return false;
  return fold(part) === fold(other) || isOneEditAway(part, other);
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
