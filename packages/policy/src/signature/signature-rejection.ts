/**
 * Why one signature does not count.
 *
 * `malformed`: it is not what it says that it is, or its cryptography does not hold. `untrusted`: it
 * is sound, but by somebody who is not trusted. `mismatch`: it is sound and trusted, but for another
 * image or another name.
 */
export type SignatureFault = "malformed" | "untrusted" | "mismatch";

/** What a {@link SignatureRejection} may carry beside its reason. */
export interface SignatureRejectionOptions extends ErrorOptions {
  readonly remedy?: string | undefined;
  readonly isOtherKey?: boolean;
}

/** Thrown by the checks of one signature, and turned into its verdict. Never leaves this package. */
export class SignatureRejection extends Error {
  override readonly name = "SignatureRejection";
  readonly fault: SignatureFault;
  /** What would make it count, as a sentence. */
  readonly remedy: string | undefined;
  /** That it is sound, as far as anybody can tell, and by a key that the requirement does not have. */
  readonly isOtherKey: boolean;

  constructor(fault: SignatureFault, reason: string, options: SignatureRejectionOptions = {}) {
    const { remedy, isOtherKey = false, ...rest } = options;
    super(reason, rest);
    this.fault = fault;
    this.remedy = remedy;
    this.isOtherKey = isOtherKey;
  }
}
