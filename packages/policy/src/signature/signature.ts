/**
 * Signatures as they are found, before anything about them is known to be true.
 *
 * @module
 */

/** An OpenPGP signed message whose content says which manifest is to have which name. */
export interface SimpleSignature {
  readonly format: "simple-signing";
  /** Where it was found, for people. */
  readonly origin: string;
  readonly bytes: Uint8Array;
}

/** One layer of a cosign attachment: a payload, and what the annotations say about it. */
export interface SigstoreSignature {
  readonly format: "sigstore-attachment";
  readonly origin: string;
  readonly mimeType: string;
  readonly payload: Uint8Array;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A sigstore bundle, as cosign 3 writes them. */
export interface BundleSignature {
  readonly format: "sigstore-bundle";
  readonly origin: string;
  /** The JSON document. */
  readonly bytes: Uint8Array;
}

/** Something that says that it signs an image. */
export type ImageSignature = SimpleSignature | SigstoreSignature | BundleSignature;

/** The most signatures of one image that are looked at. */
export const MAX_SIGNATURES = 128;

/** The most bytes of one signature. */
export const MAX_SIGNATURE_BYTES: number = 4 * 1024 * 1024;

/** The most bytes of all signatures of one image. */
export const MAX_SIGNATURES_BYTES: number = 16 * 1024 * 1024;

/** The media type of a layer that is a cosign signature, and of no other that can be one. */
export const COSIGN_SIGNATURE_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json";
