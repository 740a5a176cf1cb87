import { type Digest, digestOf } from "@stowage/content";
import {
  createPolicyEvaluator,
  type FoundSignatures,
  type ImageSignature,
  parsePolicy,
  type PolicyEvaluatorOptions,
  type PolicyVerdict,
  type RequirementVerdict,
  type SignaturePlace,
} from "@stowage/policy";
import { parseReference } from "@stowage/reference";

/** The manifest of the image that tests of signatures judge. */
export const MANIFEST: Uint8Array = Buffer.from('{"schemaVersion":2,"config":{},"layers":[]}');
export const MANIFEST_DIGEST: Digest = digestOf(MANIFEST);

/** What a signature is to say. */
export interface Claims {
  readonly digest?: string;
  readonly name?: string;
  readonly type?: string;
  readonly optional?: unknown;
}

/** The text that signers sign. */
export function payloadOf(claims: Claims = {}): string {
  const { digest = MANIFEST_DIGEST, name = "q.io/a/b:1" } = claims;
  const { type = "atomic container signature", optional = {} } = claims;
  const image = { "docker-manifest-digest": digest };
  const identity = { "docker-reference": name };
  return JSON.stringify({ critical: { type, image, identity }, optional });
}

/** How {@link judgeImage} asks. */
export interface JudgeOptions extends Pick<PolicyEvaluatorOptions, "now" | "readKeyFile"> {
  readonly image?: string;
  readonly digest?: Digest;
  readonly places?: readonly SignaturePlace[];
  readonly requireSigned?: boolean;
}

/** The verdict of a policy of these requirements about an image with these signatures. */
export async function judgeImage(
  requirements: readonly object[],
  signatures: readonly ImageSignature[],
  options: JudgeOptions = {},
): Promise<PolicyVerdict> {
  const { image = "q.io/a/b:1", digest = MANIFEST_DIGEST, places = [], requireSigned } = options;
  const found: FoundSignatures = { signatures, places };
  const evaluator = createPolicyEvaluator({
    policy: parsePolicy(JSON.stringify({ default: requirements })),
    signatures: { findSignatures: async () => found },
    now: options.now,
    readKeyFile: options.readKeyFile,
  });
  return await evaluator.evaluate(
    { transport: "docker", reference: parseReference(image), manifestDigest: digest },
    { requireSigned },
  );
}

/** What one requirement says about one signature. */
export async function judgeOne(
  requirement: object,
  signature: ImageSignature,
  options: JudgeOptions = {},
): Promise<RequirementVerdict> {
  const [verdict] = (await judgeImage([requirement], [signature], options)).requirements;
  if (verdict === undefined) throw new Error("there was no requirement");
  return verdict;
}

export function simpleSignature(bytes: Uint8Array, origin = "test"): ImageSignature {
  return { format: "simple-signing", bytes, origin };
}
