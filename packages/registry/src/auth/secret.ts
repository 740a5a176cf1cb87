const MASK = "***";

let read: (secret: Secret) => string;

/**
 * A text that nobody prints by accident: as a string, as JSON and to `inspect` it is `***`.
 * Anybody may seal a text in one; only the gate opens it.
 */
export class Secret {
  static {
    read = (secret) => secret.#text;
    const inspect = Symbol.for("nodejs.util.inspect.custom");
    Object.defineProperty(this.prototype, inspect, { value: () => MASK });
  }

  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }
}

/** What is in a secret; for `auth-gate.ts` and nobody else, which a check of the workspace holds. */
export function revealSecret(secret: Secret): string {
  return read(secret);
}
