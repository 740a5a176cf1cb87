import type { JsonSteps } from "../internal/json-lines.ts";
import { isPathField } from "./key-field.ts";

/**
 * What a field of a requirement is to have, as a sentence.
 *
 * @param steps - The way to it from the requirement; none if nobody knows which it is.
 */
export function wantedKey(type: string, steps: JsonSteps): string {
  const field = steps.findLast((step) => typeof step === "string") ?? "";
  const [what, how] = wanted(type, field);
  const where =
    field === "" || isPathField(steps)
      ? "It has to be a file of"
      : `Write what \`base64 -w0 FILE\` prints, FILE being one of`;
  return `${where} ${what}${how}.`;
}

function wanted(type: string, field: string): readonly [what: string, how: string] {
  if (field.startsWith("trustedRoot"))
    return [
      "a trusted root (trusted_root.json)",
      ": the authorities, logs and clocks of a sigstore instance, which gives it out by TUF",
    ];
  if (field.startsWith("rekor"))
    return ["the public key of the transparency log in PEM", ", which is in its trusted root"];
  if (field.startsWith("ca"))
    return ["certificates in PEM, of the authority that has certified the signers", ""];
  if (type === "signedBy")
    return ["OpenPGP public keys", ", as `gpg --export --armor WHO > FILE` makes it"];
  return [
    "a public key in PEM",
    ", as `cosign public-key --key KEY > FILE` and `openssl pkey -in KEY -pubout -out FILE` make it",
  ];
}
