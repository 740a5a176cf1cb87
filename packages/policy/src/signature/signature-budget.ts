import { PolicyError } from "../policy-error.ts";
import { MAX_SIGNATURE_BYTES, MAX_SIGNATURES, MAX_SIGNATURES_BYTES } from "./signature.ts";

/** Counts the signatures of one image, wherever they are. */
export class SignatureBudget {
  #count = 0;
  #bytes = 0;

  /** How many bytes the next one may have. */
  get maxBytes(): number {
    return Math.min(MAX_SIGNATURE_BYTES, MAX_SIGNATURES_BYTES - this.#bytes);
  }

  /**
   * Takes note of one more.
   *
   * @throws {@link PolicyError} `ERR_POLICY_TOO_MANY_SIGNATURES`
   */
  take(bytes: number): void {
    this.#count += 1;
    if (this.#count > MAX_SIGNATURES) throw tooMany(`more than ${MAX_SIGNATURES} signatures`);
    if (bytes > this.maxBytes) throw tooLong();
    this.#bytes += bytes;
  }
}

export function tooLong(): PolicyError {
  return tooMany(
    `a signature of over ${MAX_SIGNATURE_BYTES} bytes, or over ${MAX_SIGNATURES_BYTES} bytes of them`,
  );
}

function tooMany(what: string): PolicyError {
  return new PolicyError("ERR_POLICY_TOO_MANY_SIGNATURES", `the image has ${what}`, {
    hint: "Remove signatures that nobody needs from where they are kept.",
  });
}
