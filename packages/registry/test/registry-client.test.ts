import { execFileSync } from "node:child_process";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository, parseTag } from "@stowage/reference";
import { createRegistryClient, loadHostTls, type RegistryClientOptions } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeCertificate, startDockerRegistry, TempDir } from "./support/docker-registry.ts";
import { json, makeImage, push } from "./support/images.ts";

const LATEST = parseTag("latest");

describe("R17 a real docker-registry", () => {
  test("over plain HTTP: manifest, config and layers, six at once", async () => {
    await using registry = await startDockerRegistry();
    const image = makeImage([0, 1, 65_536, 1_000_000, 3_000_000, 200, 300, 400, 500, 600]);
    await push(`http://${registry.host}/v2/team/app`, image, "latest");
    await pull(registry.host, image, { plainHttp: true });
  });

  test("over TLS with the CA from a certificate directory", async () => {
    using directory = new TempDir();
    const { ca, certificate, key } = makeCertificate(directory);
    using certDir = new TempDir();
    certDir.write("ca.crt", ca);
    await using registry = await startDockerRegistry({ tls: { certificate, key } });
    const image = makeImage([10_000]);
    pushWithSkopeo(registry.host, image, ["--dest-tls-verify=false"]);
    await pull(registry.host, undefined, { tls: loadHostTls({ certDir: certDir.path }) });
    await pull(registry.host, undefined, { tls: { verify: false } });
  });

  test("TLS is refused without the CA, and nothing is asked in plain (V05)", async () => {
    using directory = new TempDir();
    const { certificate, key } = makeCertificate(directory);
    await using registry = await startDockerRegistry({ tls: { certificate, key } });
    await expect(pull(registry.host, undefined, {})).rejects.toMatchObject({
      code: "ERR_REGISTRY_TLS",
      kind: "TlsFailed",
      hint: expect.stringContaining("--cert-dir"),
    });
  });

  test("TLS towards a server of plain HTTP says how to allow that", async () => {
    await using registry = await startDockerRegistry();
    await expect(pull(registry.host, undefined, {})).rejects.toMatchObject({
      kind: "TlsFailed",
      hint: expect.stringContaining("plain HTTP"),
    });
  });

  test("verify: false falls back to plain HTTP", async () => {
    await using registry = await startDockerRegistry();
    const image = makeImage([10]);
    await push(`http://${registry.host}/v2/team/app`, image, "latest");
    await pull(registry.host, image, { tls: { verify: false } });
  });

  test("plain HTTP towards TLS says so", async () => {
    using directory = new TempDir();
    const { certificate, key } = makeCertificate(directory);
    await using registry = await startDockerRegistry({ tls: { certificate, key } });
    await expect(pull(registry.host, undefined, { plainHttp: true })).rejects.toMatchObject({
      hint: expect.stringContaining("TLS"),
    });
  });

  test("R1 Basic: right, wrong and no password", async () => {
    using directory = new TempDir();
    const htpasswd = directory.write(
      "htpasswd",
      execFileSync("htpasswd", ["-Bbn", "user", "pa:ss wörd"]),
    );
    await using registry = await startDockerRegistry({ htpasswd });
    const image = makeImage([10, 20]);
    const authorization = `Basic ${Buffer.from("user:pa:ss wörd").toString("base64")}`;
    await push(`http://${registry.host}/v2/team/app`, image, "latest", { authorization });
    const credentials = { username: "user", password: "pa:ss wörd" };
    await pull(registry.host, image, { plainHttp: true, credentials });
    const wrong = { username: "user", password: "canary-password" };
    await expect(
      pull(registry.host, image, { plainHttp: true, credentials: wrong }),
    ).rejects.toMatchObject({ kind: "AuthFailed", status: 401 });
    await expect(pull(registry.host, image, { plainHttp: true })).rejects.toMatchObject({
      kind: "AuthFailed",
      hint: expect.stringMatching(/stowage login localhost:\d+,.*--creds-stdin/),
    });
  });

  test("an index with its manifests, and what skopeo pushed", async () => {
    await using registry = await startDockerRegistry();
    const image = makeImage([100]);
    const base = `http://${registry.host}/v2/team/app`;
    await push(base, image, "single");
    const instance = {
      mediaType: MEDIA_TYPE.imageManifest,
      digest: digestOf(image.manifest),
      size: image.manifest.byteLength,
      platform: { os: "linux", architecture: "amd64" },
    };
    const index = json({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageIndex,
      manifests: [instance],
    });
    await push(base, { blobs: [], manifest: index }, "latest", {}, MEDIA_TYPE.imageIndex);
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${registry.host}/team/app`));
    const fetched = await repository.fetchManifest(LATEST);
    expect(fetched.document).toMatchObject({ kind: "index", index: { manifests: [instance] } });
    expect(fetched.descriptor.digest).toBe(digestOf(index));
    const inner = await repository.fetchManifest(instance.digest);
    expect(Buffer.from(inner.bytes)).toEqual(Buffer.from(image.manifest));
    expect(await repository.resolve(parseTag("single"))).toMatchObject({ digest: instance.digest });
    expect(await Array.fromAsync(repository.tags())).toEqual(["latest", "single"]);
  });

  test("what is not there is RegistryNotFound, with the registry's own code", async () => {
    await using registry = await startDockerRegistry();
    await expect(pull(registry.host, undefined, { plainHttp: true })).rejects.toMatchObject({
      kind: "RegistryNotFound",
      status: 404,
      diagnostics: [{ code: "MANIFEST_UNKNOWN" }],
    });
  });
});

/** Fetches the manifest, and all that it names at once; compares with what was pushed. */
async function pull(
  host: string,
  image: ReturnType<typeof makeImage> | undefined,
  options: RegistryClientOptions,
): Promise<void> {
  await using client = createRegistryClient(options);
  const repository = client.repository(parseRepository(`${host}/team/app`));
  const { document, bytes } = await repository.fetchManifest(LATEST);
  if (image !== undefined) expect(Buffer.from(bytes)).toEqual(Buffer.from(image.manifest));
  if (document.kind !== "manifest") throw new Error("not a manifest");
  const descriptors = [document.manifest.config, ...document.manifest.layers];
  const blobs = await Promise.all(
    descriptors.map(async (descriptor) =>
      Buffer.concat(await Array.fromAsync(repository.openContent(descriptor))),
    ),
  );
  expect(blobs.map((blob) => digestOf(blob))).toEqual(descriptors.map(({ digest }) => digest));
}

function pushWithSkopeo(
  host: string,
  image: ReturnType<typeof makeImage>,
  flags: readonly string[],
): void {
  using directory = new TempDir();
  directory.write("version", "Directory Transport Version: 1.1\n");
  directory.write("manifest.json", image.manifest);
  for (const { descriptor, bytes } of image.blobs) {
    directory.write(descriptor.digest.slice("sha256:".length), bytes);
  }
  const args = ["--insecure-policy", "copy", ...flags];
  execFileSync("skopeo", [...args, `dir:${directory.path}`, `docker://${host}/team/app:latest`]);
}
