/** Whether a subject is one that is meant. */
export type SubjectMatcher = (subject: string) => boolean;

const URL_WITH_HOST = /^https:\/\/[^*/]+\//;
const ADDRESS_AT_HOST = /^[^@]*@[^*@/]+\.[^*@/]+$/;

/**
 * Reads a pattern of whole subjects: `*` stands for any characters but a slash, `**` for any. It has
 * to name a host, where the names of others end; `undefined` if it does not.
 */
export function compilePattern(pattern: string): SubjectMatcher | undefined {
  if (!URL_WITH_HOST.test(pattern) && !ADDRESS_AT_HOST.test(pattern)) return undefined;
  const parts = pattern.split(/(\*\*|\*)/).map((part) => {
    if (part === "**") return "[^]*";
    if (part === "*") return "[^/]*";
    return part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  });
  const expression = new RegExp(`^${parts.join("")}$`);
  return (subject) => expression.test(subject);
}
