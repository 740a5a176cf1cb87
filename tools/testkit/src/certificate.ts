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
    const subject = ["-subj", `/CN=${name}`];
    const signer = ["-CA", authority.certificate, "-CAkey", authority.key, "-CAcreateserial"];
    const signed = ["-out", at("crt"), "-days", "2", "-extfile", at("ext")];
    await run("openssl", ["req", ...KEY, "-keyout", at("key"), "-out", at("csr"), ...subject]);
    await run("openssl", ["x509", "-req", "-in", at("csr"), ...signer, ...signed]);
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
  const certificate = join(directory, `${file}.crt`);
  const key = join(directory, `${file}.key`);
  const about = ["-days", "2", "-subj", `/CN=${subject}`];
  await run("openssl", ["req", "-x509", ...KEY, "-keyout", key, "-out", certificate, ...about]);
  return { certificate, key };
}
