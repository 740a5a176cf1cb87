import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";

import { loadHostTls } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeCertificate, TempDir } from "./support/docker-registry.ts";

describe("loadHostTls", () => {
  test("R17 reads the directory of the host with its port, first found", async () => {
    using directory = new TempDir();
    using home = new TempDir();
    const { ca, certificate, key } = makeCertificate(directory);
    const certs = home.file(".config/containers/certs.d/h.io:5000");
    mkdirSync(certs, { recursive: true });
    copyFileSync(directory.file("ca.crt"), `${certs}/ca.crt`);
    copyFileSync(certificate, `${certs}/client.cert`);
    copyFileSync(key, `${certs}/client.key`);
    const lookup = loadHostTls({ env: { HOME: home.path } });
    expect(await lookup("h.io:5000")).toEqual({
      ca: [ca],
      cert: readFileSync(certificate, "utf8"),
      key: readFileSync(key, "utf8"),
    });
    expect(await lookup("h.io")).toBeUndefined();
  });

  test("C16 what is wrong in it is ConfigFileInvalid, never a missing check", async () => {
    using good = new TempDir();
    const { certificate, key } = makeCertificate(good);
    const other = execFileSync("openssl", ["genpkey", "-algorithm", "ed25519"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [cert, own] = [readFileSync(certificate), readFileSync(key)];
    const cases: readonly Readonly<Record<string, string | Uint8Array>>[] = [
      { "ca.crt": "no PEM" },
      { "ca.crt": "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n" },
      { "x.cert": cert },
      { "x.key": own },
      { "x.cert": cert, "x.key": other },
      { "x.cert": cert, "x.key": "canary" },
    ];
    for (const files of cases) {
      using certDir = new TempDir();
      for (const [name, text] of Object.entries(files)) certDir.write(name, text);
      await expect(loadHostTls({ certDir: certDir.path })("h.io")).rejects.toMatchObject({
        code: "ERR_REGISTRY_INVALID_CERTIFICATE",
        kind: "ConfigFileInvalid",
        message: expect.not.stringContaining("canary"),
      });
    }
    await expect(loadHostTls({ certDir: "/absent" })("h.io")).rejects.toMatchObject({
      hint: expect.stringContaining("--cert-dir"),
      kind: "ConfigFileInvalid",
    });
  });
});
