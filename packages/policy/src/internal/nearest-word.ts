import { isOneEditAway } from "../scope/spelled-alike.ts";

/** The one of a grammar's words that somebody most likely meant. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  return (
    known.find((other) => other.toLowerCase() === word.toLowerCase()) ??
    known.find((other) => isOneEditAway(other, word))
  );
}
