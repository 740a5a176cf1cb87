import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { tempDir } from "@stowage/testkit";

/** A timestamp authority that is OpenSSL's. */
export interface OpensslAuthority extends AsyncDisposable {
  /** Its own and its root's, in DER. */
  readonly certificates: readonly Buffer[];
  /** Answers, in DER. */
  timestamp(request: TimestampRequest): Promise<Buffer>;
}

export interface TimestampRequest {
  readonly artifactHash: Buffer;
  /** Behind the seconds; zeros at their end are left out. */
  readonly digits: number;
}

/** Makes one with keys of a kind; it goes when its scope ends. */
export async function openOpensslAuthority(kind: "ec" | "rsa"): Promise<OpensslAuthority> {
  const folder = await tempDir("stowage-tsa-");
  const { path: cwd } = folder;
  const openssl = async (...args: readonly string[]): Promise<void> => {
    await promisify(execFile)("openssl", args, { cwd });
  };
  const key = kind === "ec" ? ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] : ["rsa:2048"];
  await writeConfig(0);
  await writeFile(join(cwd, "serial"), "01");
  const make = ["req", "-newkey", ...key, "-nodes"];
  await openssl(
    ...make,
    "-config",
    "config",
    "-x509",
    "-subj",
    "/CN=root",
    "-keyout",
    "root.key",
    "-out",
    "root.pem",
  );
  await openssl(
    ...make,
    "-config",
    "config",
    "-subj",
    "/CN=clock",
    "-keyout",
    "clock.key",
    "-out",
    "clock.csr",
  );
  const issuer = ["-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial"];
  const extensions = ["-extfile", "config", "-extensions", "usage"];
  await openssl("x509", "-req", "-in", "clock.csr", ...issuer, ...extensions, "-out", "clock.pem");
  const certificates = await Promise.all(["clock", "root"].map(readCertificate));
  return {
    certificates,
    async timestamp({ artifactHash, digits }) {
      await writeConfig(digits);
      const hash = artifactHash.toString("hex");
      await openssl("ts", "-query", "-digest", hash, "-sha256", "-cert", "-out", "query");
      await openssl("ts", "-reply", "-config", "config", "-queryfile", "query", "-out", "reply");
      return await readFile(join(cwd, "reply"));
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };

  async function writeConfig(digits: number): Promise<void> {
    const lines = [
      "[tsa]",
      "default_tsa = clock",
      "[clock]",
      "serial = ./serial",
      "signer_cert = ./clock.pem",
      "signer_key = ./clock.key",
      "certs = ./root.pem",
      "signer_digest = sha256",
      "default_policy = 1.2.3.4",
      "digests = sha256",
      `clock_precision_digits = ${digits}`,
      "ess_cert_id_alg = sha256",
      "[usage]",
      "extendedKeyUsage = critical,timeStamping",
      "[req]",
      "distinguished_name = name",
      "x509_extensions = authority",
      "[name]",
      "[authority]",
      "basicConstraints = critical,CA:true",
    ];
    await writeFile(join(cwd, "config"), lines.join("\n"));
  }

  async function readCertificate(name: string): Promise<Buffer> {
    await openssl("x509", "-in", `${name}.pem`, "-outform", "DER", "-out", `${name}.der`);
    return await readFile(join(cwd, `${name}.der`));
  }
}
