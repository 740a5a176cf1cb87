import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { join } from "node:path";

import { copyBetween, formatVerdict, parseCopyLocation } from "@stowage/runtime-shim";
import { type CertificateFiles, listenLocally, makeCertificates } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { attachSignature, makeImageSigner } from "./support/sigstore-attach.ts";
import {
  CAN_SIGN,
  openSigningSite,
  openSigningWorld,
  repositoryOf,
  type SigningSite,
  type SigningWorld,
  WHY_NOT,
} from "./support/signing-world.ts";

describe.runIf(CAN_SIGN)(`what is said of a lookaside that fails${WHY_NOT}`, () => {
  let site: SigningSite;
  let world: SigningWorld;
  let signed: string;
  let base: string;

  beforeAll(async () => {
    site = await openSigningSite();
    await mkdir(certDir());
    world = await openSigningWorld(site, { certDir: certDir() });
    [base = ""] = /http:\/\/127\.0\.0\.1:\d+/.exec(await readFile(file(), "utf8")) ?? [];
    signed = await world.push("team/app:1", "--sign-by", world.signer);
  });

  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await site[Symbol.asyncDispose]();
  });

  const certDir = (): string => join(site.keyring.path, "certs");
  const file = (): string => join(world.path, "registries.d/test.yaml");
  const at = (): string => `${file()}, line 1, docker["${world.host}"].lookaside`;
  const restOf = (name: string): string =>
    `${repositoryOf(name).slice(world.host.length + 1)}@${site.image.descriptor.digest.replace(":", "=")}`;

  async function serve(body: string | Buffer, status = 200) {
    const server = await listenLocally(
      createServer((_, response) => response.writeHead(status).end(body)),
    );
    return { ...server, base: `http://127.0.0.1:${server.port}` };
  }

  /** The lookaside by TLS. */
  async function serveFiles({ certificate, key }: CertificateFiles) {
    const options = { cert: await readFile(certificate), key: await readFile(key) };
    const server = await listenLocally(
      createTlsServer(options, (request, response) => {
        void readFile(join(world.lookaside, decodeURIComponent(request.url ?? ""))).then(
          (bytes) => response.end(bytes),
          () => response.writeHead(404).end(),
        );
      }),
    );
    return { ...server, base: `https://127.0.0.1:${server.port}` };
  }

  /** What a pull and an explanation reject with: one and the same. */
  async function failureOf(
    lookaside: string,
  ): Promise<Record<"code" | "hint" | "message", string>> {
    await world.setRegistriesD({ lookaside });
    const { runtime } = world.runtime;
    const failed = await runtime.images.pull(signed).catch((error: unknown) => error);
    const { code, message, hint } = failed as { code: string; message: string; hint: string };
    await expect(runtime.explainPolicy(signed)).rejects.toMatchObject({ code, message, hint });
    expect(hint).toContain(`It is named in ${at()}. `);
    expect(`${message} ${hint}`).not.toMatch(/registry|tls-verify/);
    expect(failed).toMatchObject({ code: expect.stringMatching(/^ERR_POLICY_SIGNATURE/) });
    return { code, message, hint };
  }

  async function expectMended(): Promise<void> {
    await world.setRegistriesD({ lookaside: base });
    await world.runtime.runtime.images.pull(signed);
  }

  test("that it is down, and which line names it", async () => {
    const gone = await serve("");
    await gone[Symbol.asyncDispose]();
    const { code, message } = await failureOf(`${gone.base}/sigs?token=secret`);
    expect(code).toBe("ERR_POLICY_SIGNATURES_UNAVAILABLE");
    const url = `${gone.base}/sigs/${restOf(signed)}/signature-1`;
    expect(message).toContain(`the lookaside ${url}: nothing listens there, so that`);
    expect(message).not.toContain("secret");
    await expectMended();
  });

  test("that it speaks plain HTTP where https was asked", async () => {
    const { message, hint } = await failureOf(base.replace("http:", "https:"));
    expect(message).toContain(": the server does not speak TLS here, so that");
    const [, right = "", wrong = ""] = /write (http:) in place of (https:) there/.exec(hint) ?? [];
    await writeFile(file(), (await readFile(file(), "utf8")).replace(wrong, right));
    await world.runtime.runtime.images.pull(signed);
  });

  test("that its certificate is not trusted, not for it, or not valid now", async () => {
    const files = await makeCertificates(world.path);
    const other = await files.sign("other", { names: "DNS:other.invalid" });
    const expired = await files.sign("expired", { names: "IP:127.0.0.1", days: -1 });
    for (const [leaf, trusted, words, advice] of [
      [files.server, false, "the certificate is not trusted", "with --cert-dir."],
      [other, true, "the certificate is for another host name", "Write the name there that"],
      [expired, true, "the certificate is not valid now", "this machine's clock"],
    ] as const) {
      await using server = await serveFiles(leaf);
      await cp(files.authority, join(certDir(), "ca.crt"), { force: true });
      if (!trusted) await rm(join(certDir(), "ca.crt"));
      const { message, hint } = await failureOf(server.base);
      expect(message).toContain(`/signature-1: ${words}`);
      expect(hint).toContain(advice);
    }
    await using server = await serveFiles(files.server);
    await cp(files.authority, join(certDir(), "ca.crt"));
    await world.setRegistriesD({ lookaside: server.base });
    await world.runtime.runtime.images.pull(signed);
  });

  test.for([
    ["<!DOCTYPE html>\n<title>Sign in</title>", "answers with a web page, not with a signature"],
    [" \n<html><body>404</body></html>", "answers with a web page, not with a signature"],
    ["signatures are elsewhere", "is neither an OpenPGP message nor"],
  ] as const)("that %j is no signature", async ([body, words]) => {
    await using server = await serve(body);
    const { message } = await failureOf(server.base);
    expect(message).toContain(`${server.base}/${restOf(signed)}/signature-1 ${words}`);
    await expectMended();
  });

  test.for([
    [401, "none can be given to a lookaside"],
    [403, "whether its server may read the files"],
    [429, "Try again later."],
    [500, "Try again later."],
    [400, "say 404 where there is none"],
  ] as const)("that it says %i, and what is to be done about that", async ([status, advice]) => {
    world.status = status;
    const { message, hint } = await failureOf(base);
    expect(message).toContain(`/signature-1: the server says ${status}, so that`);
    expect(hint).toContain(advice);
    world.status = undefined;
    await expectMended();
  });

  test("that it redirects to what fails, which is named as well", async () => {
    const gone = await serve("");
    await gone[Symbol.asyncDispose]();
    await using page = await serve("<html>");
    for (const [to, words] of [
      [gone.base, ": nothing listens there"],
      [page.base, ", answers with a web page"],
    ] as const) {
      world.redirect = `${to}/x`;
      const { message } = await failureOf(base);
      const target = `${to}/x/${restOf(signed)}/signature-1`;
      expect(message).toContain(
        `${base}/${restOf(signed)}/signature-1, which redirects to ${target}${words}`,
      );
    }
    world.redirect = gone.base;
    expect((await failureOf(base)).hint).toContain(`Have the lookaside redirect to somewhere else`);
    world.redirect = base;
    const { hint } = await failureOf(base);
    expect(hint).toContain("too often");
    world.redirect = undefined;
    await expectMended();
  });

  test("that it speaks TLS where plain HTTP was asked", async () => {
    await mkdir(join(world.path, "tls"));
    const files = await makeCertificates(join(world.path, "tls"));
    await using server = await serveFiles(files.server);
    const { hint } = await failureOf(server.base.replace("https:", "http:"));
    expect(hint).toContain("If it speaks TLS, write https: in place of http:");
    // As nginx and Go's servers say it.
    await using saying = await serve(
      "<title>400 The plain HTTP request was sent to HTTPS port",
      400,
    );
    const said = await failureOf(saying.base);
    expect(said.message).toContain("the server speaks TLS here, and was asked without");
    expect(said.hint).toContain("Write https: in place of http: there.");
    await expectMended();
  });

  test("that its folder is not there at all", async () => {
    const none = join(world.path, "sgis");
    await world.setRegistriesD({ lookaside: `file://${none}` });
    const { runtime } = world.runtime;
    const words = `there is no ${none} at all)`;
    expect(formatVerdict(await runtime.explainPolicy(signed))).toContain(words);
    await expect(runtime.images.pull(signed)).rejects.toMatchObject({
      message: expect.stringContaining(words),
    });
    await rename(world.lookaside, none);
    await runtime.images.pull(signed);
    await rename(none, world.lookaside);
    await world.setRegistriesD({ lookaside: `file://${world.lookaside}` });
    const unsigned = await world.push("team/unsigned:1");
    const told = formatVerdict(await runtime.explainPolicy(unsigned));
    expect(told).toContain("says so for");
    expect(told).not.toContain("at all");
  });

  test("how signatures get to a copy that came without them", async () => {
    await world.setRegistriesD({ lookaside: `file://${world.lookaside}` });
    const { images } = world.runtime.runtime;
    const copy = await world.push("copies/app:1");
    const hintOf = async (): Promise<string> => {
      const refused = await images.pull(copy).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: "ERR_POLICY_REJECTED" });
      return (refused as { hint?: string }).hint ?? "";
    };
    const hint = await hintOf();
    const [, folder] =
      /before \/(\S+)\/signature-1\. .* copy the original's folder there, and have the policy accept/.exec(
        hint,
      ) ?? [];
    await cp(join(world.lookaside, restOf(signed)), join(world.lookaside, folder ?? "none"), {
      recursive: true,
    });
    const [, identity] = /("signedIdentity": \{[^}]*\})/.exec(await hintOf()) ?? [];
    const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath };
    await world.setPolicy({ ...gpg, ...JSON.parse(`{${identity}}`) });
    await images.pull(copy);
    // Or signed by its own name.
    await world.setPolicy(gpg);
    await rm(join(world.lookaside, folder ?? "none"), { recursive: true });
    expect(hint).toContain("have it signed as well");
    await world.push("copies/app:1", "--sign-by", world.signer);
    await images.pull(copy);
  });

  test("how a copy gets the signatures beside the original", async () => {
    const cosign = await makeImageSigner(world.path, "cosign");
    const original = await world.push("team/beside:1");
    await attachSignature(original, site.image.descriptor, cosign, repositoryOf(original));
    const copy = await world.push("copies/beside:1");
    const signedIdentity = { type: "exactRepository", dockerRepository: repositoryOf(original) };
    await world.setPolicy({ type: "sigstoreSigned", keyPath: cosign.path, signedIdentity });
    await world.setRegistriesD({ "use-sigstore-attachments": true });
    const { images } = world.runtime.runtime;
    await expect(images.pull(copy)).rejects.toMatchObject({
      hint: expect.stringContaining("stowage copy --with-referrers"),
    });
    const [from, to] = [original, copy].map((name) => parseCopyLocation(`docker://${name}`));
    if (from === undefined || to === undefined) throw new Error("there are two");
    await copyBetween(from, to, { ...world.runtime.options, withReferrers: true });
    await images.pull(copy);
  });
});
