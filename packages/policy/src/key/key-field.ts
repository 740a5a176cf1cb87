import { invalidMaterialOf } from "./key-material.ts";
import type { JsonSteps } from "../internal/json-lines.ts";

/** Each field of a requirement that has a key or the path of one, with the text that it has. */
export function* keyFieldsOf(
  fields: object,
  above: JsonSteps = [],
): Generator<readonly [steps: JsonSteps, text: string]> {
  for (const [key, value] of Object.entries(fields)) {
    const steps = [...above, key];
    if (/(?:Path|Data)$/.test(key) && typeof value === "string") yield [steps, value];
    else if (/(?:Path|Data)s$/.test(key) && Array.isArray(value))
      yield* value.map((text, index) => [[...steps, index], String(text)] as const);
    else if (typeof value === "object" && value !== null && !Array.isArray(value))
      yield* keyFieldsOf(value, steps);
  }
}

/** Whether it has the path of a file. */
export function isPathField(steps: JsonSteps): boolean {
  return steps.some((step) => typeof step === "string" && /Paths?$/.test(step));
}

/** The way from a requirement to its field of what an error says is no key; none if that is unknown. */
export function fieldOfInvalidKey(requirement: object, error: unknown): JsonSteps {
  const material = invalidMaterialOf(error);
  const found = [...keyFieldsOf(requirement)].find(([steps, text]) =>
    isPathField(steps) ? text === material : nameOf(steps) === material,
  );
  return found?.[0] ?? [];
}

/** What data is called: `keyData`, `keyDatas[1]`. */
function nameOf(steps: JsonSteps): string {
  const [last, before] = [steps.at(-1), steps.at(-2)];
  return typeof last === "number" ? `${before}[${last}]` : `${last}`;
}
