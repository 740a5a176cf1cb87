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

/** What a certificate says. */
export interface LeafOptions {
  /** As openssl has them: `DNS:localhost,IP:127.0.0.1`. */
  readonly names: string;
  /** From now on; a negative number has expired. @defaultValue 2 */
  readonly days?: number;
}

/** An authority of its own and what it has signed. */
export interface Certificates {
  /** The file of the authority's certificate. */
  readonly authority: string;
  /** For `localhost`, `::1`, and `127.0.0.1` to `127.0.0.4`. */
  readonly server: CertificateFiles;
  /** For whoever has to prove who they are. */
  readonly client: CertificateFiles;
  /** Signs another one for a server; `file` is the name of its files. */
  sign(file: string, options: LeafOptions): Promise<CertificateFiles>;
}

const LOOPBACK = [1, 2, 3, 4].map((last) => `IP:127.0.0.${last}`).join(",");

/** Makes certificates with openssl, good for two days, into a directory that is there. */
export async function makeCertificates(directory: string): Promise<Certificates> {
  const authority = await makeSelfSigned(directory, "ca", "test authority");
  const make = async (name: string, extensions: string, days = 2): Promise<CertificateFiles> => {
    const at = (extension: string): string => join(directory, `${name}.${extension}`);
    await writeFile(at("ext"), extensions);
    const subject = ["-subj", `/CN=${name}`];
    const signer = ["-CA", authority.certificate, "-CAkey", authority.key, "-CAcreateserial"];
    const signed = ["-out", at("crt"), "-days", String(days), "-extfile", at("ext")];
    await run("openssl", ["req", ...KEY, "-keyout", at("key"), "-out", at("csr"), ...subject]);
    await run("openssl", ["x509", "-req", "-in", at("csr"), ...signer, ...signed]);
    return { certificate: at("crt"), key: at("key") };
  };
  const sign = ({ names, days }: LeafOptions, file: string): Promise<CertificateFiles> =>
    make(file, `subjectAltName=${names}\nextendedKeyUsage=serverAuth\n`, days);
  return {
    authority: authority.certificate,
    server: await sign({ names: `DNS:localhost,IP:::1,${LOOPBACK}` }, "localhost"),
    client: await make("client", "extendedKeyUsage=clientAuth\n"),
    sign: (file, options) => sign(options, file),
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
