/** What one section says. A field that is not there is left to a wider section. */
export interface SignatureSection {
  /** The file it is from. */
  readonly file: string;
  /** Where it begins there, counted from 1. */
  readonly line?: number;
  readonly lookaside?: string;
  /** The line of the file, and the key, that `lookaside` is from; also where it is empty. */
  readonly lookasideAt?: string;
  readonly lookasideStaging?: string;
  readonly useSigstoreAttachments?: boolean;
  /** As `lookasideAt`; also where there is no value behind the key. */
  readonly attachmentsAt?: string;
}
