import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** The files of a certificate and its key, in PEM. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** An authority of its own and what it has signed. */
export interface Certificates {
  /** The file of the authority's certificate. */
  readonly authority: string;
  /** For `localhost`, `127.0.0.1` and `::1`. */
  readonly server: CertificateFiles;
  /** For whoever has to prove who they are. */
  readonly client: CertificateFiles;
}

/** Makes certificates with openssl, good for two days, into a directory that is there. */
export async function makeCertificates(directory: string): Promise<Certificates> {
  const authority = await makeSelfSigned(directory, "ca", "test authority");
  const sign = async (name: string, extensions: string): Promise<CertificateFiles> => {
    const at = (extension: string): string => join(directory, `${name}.${extension}`);
    await writeFile(at("ext"), extensions);
    await run("openssl", [
      ...["req", ...KEY, "-keyout", at("key"), "-out", at("csr"), "-subj", `/CN=${name}`],
    ]);
    await run("openssl", [
      ...["x509", "-req", "-in", at("csr"), "-out", at("crt"), "-days", "2"],
      ...["-CA", authority.certificate, "-CAkey", authority.key, "-CAcreateserial"],
      ...["-extfile", at("ext")],
    ]);
    return { certificate: at("crt"), key: at("key") };
  };
  return {
    authority: authority.certificate,
    server: await sign(
      "localhost",
      "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=serverAuth\n",
    ),
    client: await sign("client", "extendedKeyUsage=clientAuth\n"),
  };
}

/** Makes a certificate that stands for itself. */
export async function makeSelfSigned(
  directory: string,
  file: string,
  subject: string,
): Promise<CertificateFiles> {
  const files = {
    certificate: join(directory, `${file}.crt`),
    key: join(directory, `${file}.key`),
  };
  await run("openssl", [
    ...["req", "-x509", ...KEY, "-keyout", files.key, "-out", files.certificate],
    ...["-days", "2", "-subj", `/CN=${subject}`],
  ]);
  return files;
}
