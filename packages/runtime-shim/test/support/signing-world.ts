import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

import type { RuntimeOptions } from "@stowage/runtime-shim";
import {
  buildImage,
  type BuiltImage,
  type GpgKeyring,
  hasPeer,
  makeGpgKeyring,
  startDockerRegistry,
  tempDir,
  writeOciLayout,
} from "@stowage/testkit";

import { openRuntimeWorld, type RuntimeWorld } from "./runtime-world.ts";

/** Whether all programs that sign here are installed. */
export const CAN_SIGN: boolean = ["docker-registry", "gpg", "skopeo"].every((name) =>
  hasPeer(name),
);
/** Behind the name of what cannot be tested without them. */
export const WHY_NOT: string = CAN_SIGN ? "" : " (needs docker-registry, gpg and skopeo)";

/** A registry, and somebody who signs with real tools. */
export interface SigningSite extends AsyncDisposable {
  readonly host: string;
  readonly keyring: GpgKeyring;
  /** The fingerprint of a key; its public half is in `keyPath`. */
  readonly signer: string;
  readonly keyPath: string;
  readonly image: BuiltImage;
  skopeo(...args: readonly string[]): Promise<string>;
}

/** A runtime of its own, and a lookaside served from a folder. */
export interface SigningWorld extends SigningSite {
  readonly runtime: RuntimeWorld;
  readonly path: string;
  /** The folder that the lookaside serves. */
  readonly lookaside: string;
  /** What the lookaside was asked for, in order. */
  readonly asked: string[];
  /** What the lookaside answers instead of files, if set. */
  status: number | undefined;
  /** Where the lookaside sends on whoever asks if set. */
  redirect: string | undefined;
  /** Puts the image into the registry with skopeo and more arguments, under a name of this world. */
  push(name: string, ...args: readonly string[]): Promise<string>;
  /** Writes the policy of the runtime. */
  setPolicy(...requirements: readonly object[]): Promise<void>;
  /** Writes `registries.d` of the runtime. */
  setRegistriesD(section: Readonly<Record<string, unknown>>): Promise<void>;
}

/** The name of an image without its tag. */
export function repositoryOf(name: string): string {
  return name.slice(0, name.lastIndexOf(":"));
}

/** A `registries.conf` that has a folder of a registry for a mirror of `vendor.invalid`. */
export function mirrorConf(location: string): string {
  return `[[registry]]\nprefix = "vendor.invalid"\nlocation = "vendor.invalid"\n[[registry.mirror]]\nlocation = "${location}"\ninsecure = true\n`;
}

/** Opens what worlds share; it goes when its scope ends. */
export async function openSigningSite(): Promise<SigningSite> {
  const registry = await startDockerRegistry();
  const keyring = await makeGpgKeyring();
  const signer = await keyring.makeKey("signer");
  const keyPath = join(keyring.path, "signer.asc");
  await writeFile(keyPath, await keyring.exportKey(signer));
  const image = buildImage({ layers: [{ entries: [{ name: "hello", content: "world" }] }] });
  await writeOciLayout(join(keyring.path, "layout"), { app: image });
  return {
    host: registry.host,
    keyring,
    signer,
    keyPath,
    image,
    async skopeo(...args) {
      const env = { ...process.env, GNUPGHOME: keyring.path };
      return (await promisify(execFile)("skopeo", args, { env })).stdout;
    },
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await keyring[Symbol.asyncDispose]();
    },
  };
}

/** Opens a world; it asks for signatures of the site's signer. It goes when its scope ends. */
export async function openSigningWorld(
  site: SigningSite,
  changes: Partial<RuntimeOptions> = {},
): Promise<SigningWorld> {
  const { host, keyring } = site;
  const folder = await tempDir("stowage-signed-");
  const { path } = folder;
  const policyPath = join(path, "policy.json");
  const registriesDPath = join(path, "registries.d");
  const runtime = await openRuntimeWorld({ policyPath, registriesDPath, ...changes });
  const lookaside = join(path, "lookaside");
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const name = decodeURIComponent(request.url ?? "");
    asked.push(name);
    if (world.redirect !== undefined && !name.startsWith("/moved/")) {
      response.writeHead(302, { location: world.redirect + (request.url ?? "") }).end();
      return;
    }
    if (world.status !== undefined) {
      response.writeHead(world.status).end();
      return;
    }
    void readFile(join(lookaside, name.replace("/moved/", "/"))).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const world: SigningWorld = {
    ...site,
    runtime,
    path,
    lookaside,
    asked,
    status: undefined,
    redirect: undefined,
    async push(name, ...args) {
      const staging = join(path, "staging.d");
      await mkdir(staging, { recursive: true });
      const section = {
        "lookaside-staging": `file://${lookaside}`,
        "use-sigstore-attachments": true,
      };
      await writeFile(join(staging, "a.yaml"), JSON.stringify({ "default-docker": section }));
      const full = `${host}/world${port}/${name}`;
      await site.skopeo(
        "--insecure-policy",
        "--registries.d",
        staging,
        "copy",
        "-q",
        "--dest-tls-verify=false",
        ...args,
        `oci:${join(keyring.path, "layout")}:app`,
        `docker://${full}`,
      );
      return full;
    },
    async setPolicy(...requirements) {
      await writeFile(policyPath, JSON.stringify({ default: requirements }));
    },
    async setRegistriesD(section) {
      await mkdir(registriesDPath, { recursive: true });
      const text = JSON.stringify({ docker: { [host]: section } });
      await writeFile(join(registriesDPath, "test.yaml"), text);
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
      await runtime[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
  await world.setRegistriesD({ lookaside: `http://127.0.0.1:${port}` });
  await world.setPolicy({ type: "signedBy", keyType: "GPGKeys", keyPath: site.keyPath });
  return world;
}
