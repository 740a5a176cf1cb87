import type { Digest } from "@stowage/content";

import type { PolicyRequirement } from "./policy.ts";
import type { PolicyScope } from "./scope/policy-scope.ts";
import type { SignaturePlace } from "./ports.ts";
import type { ImageSignature } from "./signature/signature.ts";
import type { SignatureFault } from "./signature/signature-rejection.ts";
import type { SimilarScope } from "./scope/similar-scope.ts";

/** What one requirement of the chosen scope says. */
export interface RequirementVerdict {
  readonly type: PolicyRequirement["type"];
  readonly allowed: boolean;
  /** Why, as a clause: "it denies every image". */
  readonly reason: string;
  /** What would make it allow, as a sentence. */
  readonly remedy?: string;
  /** Each signature of its kind, in the order they were found. */
  readonly signatures?: readonly SignatureVerdict[];
  /** Of a requirement that is made of others, what those say. */
  readonly requirements?: readonly RequirementVerdict[];
  /** Set if it denies because it could not be asked: what it names as a key is none. */
  readonly cause?: Error;
}

/** What a requirement says about one signature. */
export interface SignatureVerdict {
  readonly format: ImageSignature["format"];
  /** Where it was found. */
  readonly origin: string;
  readonly accepted: boolean;
  /** Why not; absent if accepted. */
  readonly fault?: SignatureFault;
  /** Why, as a clause. */
  readonly reason: string;
  readonly remedy?: string;
  /** Who signed: a fingerprint, a key or an identity. Only if that was verified. */
  readonly signer?: string;
  /** The name that it is for. Only if that was verified. */
  readonly identity?: string;
}

/** A scope that was looked for, nearest first. */
export interface ConsideredScope extends PolicyScope {
  readonly found: boolean;
}

/** What a policy says about one image, and how it came to that. A "no" is a value, not an error. */
export interface PolicyVerdict {
  /** Whether every one of `requirements` allows, and there is at least one. */
  readonly allowed: boolean;
  readonly transport: string;
  /** The full name that scopes were compared with; empty where the transport has none. */
  readonly image: string;
  /** Of the manifest that this is about, if the subject told. */
  readonly manifestDigest?: Digest;
  readonly scope: PolicyScope;
  /** What was looked for until `scope` was found. */
  readonly considered: readonly ConsideredScope[];
  /** Scopes of the policy that look as if they were for this image, and are not. */
  readonly similar?: readonly SimilarScope[];
  /**
   * Those of `similar` that ask for more, set if what was found asked for nothing: most likely they
   * are slips of the policy, by which the image came in unchecked.
   */
  readonly bypassed?: readonly SimilarScope[];
  /** The file that the policy was read from, if it was read from one. */
  readonly file?: string;
  /** Of the policy's bytes: under another policy this says nothing. */
  readonly policyDigest?: Digest;
  /** All of the chosen scope, in their order, also those after the first that denies. */
  readonly requirements: readonly RequirementVerdict[];
  /** Where signatures were looked for; empty if no requirement needed any. */
  readonly places: readonly SignaturePlace[];
  /** What requirements that only report would have denied. */
  readonly audit: readonly string[];
  /** Set if everything allowed, but a verified signature was asked for and there is none. */
  readonly unsigned?: true;
  /** Set if signatures could not be read; the error that has this verdict says why. */
  readonly undecided?: true;
}
