/**
 * Holds the judge of bundles to examples that others published: `pnpm test:published FOLDER ROOT`.
 * FOLDER is `test/assets/bundle-verify` of a checkout of sigstore-conformance, ROOT the
 * `trusted_root.json` of the public instance, for examples that bring none. Neither is part of this
 * tree. Needs no network. Those that count are also held against what the signers of the tests write:
 * field by field, and how each is written.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { digestOf } from "@stowage/content";

import { type BundleJson, openSigstore } from "../support/bundle-signer.ts";
import { judgeOne } from "../support/judged-image.ts";

const [folder, publicRoot] = process.argv.slice(2);
if (folder === undefined || publicRoot === undefined) {
  throw new Error("usage: test:published FOLDER ROOT");
}

const ISSUER = "https://token.actions.githubusercontent.com";
const BEACON =
  "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";

interface Outcome {
  readonly name: string;
  /** A statement about what was signed, as images have it, in the newest version. */
  readonly forImages: boolean;
  readonly valid: boolean;
  readonly allowed: boolean;
  readonly reason: string;
}

const outcomes: Outcome[] = [];
for (const name of readdirSync(folder).toSorted()) {
  if (!statSync(join(folder, name)).isDirectory()) continue;
  outcomes.push(await judgeExample(folder, name, publicRoot));
}
const wrong = outcomes.filter(({ forImages, valid, allowed }) => allowed !== (forImages && valid));
for (const { name, forImages, allowed, reason } of outcomes) {
  const kind = forImages ? "statement" : "other";
  console.log(`${allowed ? "allowed " : "rejected"} ${kind.padEnd(10)} ${name}: ${reason}`);
}
const accepted = outcomes.filter(({ allowed }) => allowed).length;
console.log(JSON.stringify({ examples: outcomes.length, accepted, wrong: wrong.length }));
for (const { name } of wrong) console.log(`not as its publishers say: ${name}`);
const mock = await openSigstore();
const written = [await mock.bundle(), await mock.bundle({ log: "v2" })].map(formOf);
const strange = outcomes
  .filter(({ allowed }) => allowed)
  .map(({ name }) => [name, formOf(bundleOf(folder, name))] as const)
  .filter(([, form]) => !written.includes(form));
for (const [name, form] of strange) {
  console.log(`not as the tests' signers write: ${name}\n${form}\nand not\n${written.join("\n")}`);
}
if (wrong.length + strange.length > 0 || accepted === 0) process.exitCode = 1;

function bundleOf(base: string, name: string): BundleJson {
  return JSON.parse(readFileSync(join(base, name, "bundle.sigstore.json"), "utf8"));
}

/** The fields of a bundle and of the log's entry in it, and how each is written. */
function formOf(bundle: BundleJson): string {
  const [entry] = bundle.verificationMaterial.tlogEntries;
  const body = JSON.parse(Buffer.from(entry.canonicalizedBody, "base64").toString());
  return [...new Set([...fieldsOf(bundle, "bundle"), ...fieldsOf(body, "entry")])]
    .toSorted()
    .join("\n");
}

function fieldsOf(node: BundleJson, path: string): readonly string[] {
  if (typeof node === "string") return [`${path}: ${writingOf(node)}`];
  // How many hashes a proof has is the size of the log.
  if (Array.isArray(node)) return path.endsWith(".hashes") ? [path] : fieldsOf(node[0], path);
  return Object.entries(node).flatMap(([key, value]) => fieldsOf(value, `${path}.${key}`));
}

function writingOf(text: string): string {
  if (/^\d+$/.test(text)) return "decimal";
  if (/^[0-9a-f]{64}$/.test(text)) return "hexadecimal";
  const isBase64 = text.length > 40 && Buffer.from(text, "base64").toString("base64") === text;
  if (isBase64) return "base64";
  return text.includes("\n") ? `${text.split("\n").slice(0, 4).length} lines or more` : text;
}

async function judgeExample(base: string, name: string, usualRoot: string): Promise<Outcome> {
  const path = (file: string): string => join(base, name, file);
  const text = (file: string): string | undefined =>
    existsSync(path(file)) ? readFileSync(path(file), "utf8") : undefined;
  const bytes = readFileSync(path("bundle.sigstore.json"));
  const artifact = existsSync(path("artifact")) ? path("artifact") : join(base, "a.txt");
  const root = readFileSync(
    existsSync(path("trusted_root.json")) ? path("trusted_root.json") : usualRoot,
  );
  const key = text("key.pub");
  const statement = statementOf(bytes);
  const requirement = {
    type: "sigstoreBundle",
    ...(key === undefined
      ? {
          identity: {
            issuer: text("issuer")?.trim() ?? ISSUER,
            subject: text("identity")?.trim() ?? BEACON,
          },
        }
      : { keyData: base64(Buffer.from(key)) }),
    trustedRootData: base64(root),
    ...(statement && { predicateType: statement.predicateType }),
  };
  const verdict = await judgeOne(
    requirement,
    { format: "sigstore-bundle", bytes, origin: name },
    { digest: digestOf(readFileSync(artifact)) },
  );
  return {
    name,
    forImages: statement !== undefined && /\.v0\.3\+json|version=0\.3/.test(statement.mediaType),
    valid: !name.endsWith("_fail"),
    allowed: verdict.allowed,
    reason: verdict.reason,
  };
}

function statementOf(
  bytes: Buffer,
): { readonly predicateType: string; readonly mediaType: string } | undefined {
  try {
    const { mediaType, dsseEnvelope } = JSON.parse(bytes.toString());
    if (dsseEnvelope === undefined) return undefined;
    const { predicateType } = JSON.parse(Buffer.from(dsseEnvelope.payload, "base64").toString());
    return { predicateType, mediaType };
  } catch {
    // Some are broken on purpose.
    return undefined;
  }
}

function base64(bytes: Buffer): string {
  return bytes.toString("base64");
}
