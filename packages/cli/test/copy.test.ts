import { execFile } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { type Digest, parseDigest, parsePlatform } from "@stowage/content";
import {
  buildImage,
  buildIndex,
  type BuiltImage,
  hasPeer,
  hostShellEntries,
  startDockerRegistry,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld } from "./support/cli-world.ts";

const run = promisify(execFile);
const PLAIN = "--tls-verify=false";
const HOST = imageFor(undefined);
const OTHER = imageFor("plan9/mips");
const INDEX = buildIndex([HOST, OTHER]);

describe.skipIf(!hasPeer("docker-registry"))("copy", () => {
  test("R17 goes from place to place without a digest changing, and skopeo reads each", async () => {
    await using world = await openCliWorld();
    await using registry = await startDockerRegistry();
    const layout = await layoutOf(world, INDEX);
    const digest = INDEX.descriptor.digest;
    const steps = [
      [layout, `docker://${registry.host}/team/app:1`],
      [`docker://${registry.host}/team/app:1`, `oci-archive:${world.path}/app.tar:app`],
      [`oci-archive:${world.path}/app.tar:app`, `dir:${world.path}/folder`],
      [`dir:${world.path}/folder`, `oci:${world.path}/back:it`],
    ] as const;
    for (const [from, to] of steps) {
      const told = JSON.parse(await world.ok("--format", "json", "copy", PLAIN, from, to));
      expect(told).toMatchObject({ source: from, destination: to, digest, manifests: 3 });
      if (hasPeer("skopeo")) expect(await rawDigest(to)).toBe(digest);
    }
  });

  test("tells progress on stderr and the digest alone on stdout, and neither with --quiet more", async () => {
    await using world = await openCliWorld();
    const layout = await layoutOf(world, HOST);
    const told = await world.run(["copy", layout, `oci:${world.path}/a:it`]);
    expect([told.code, told.stdout]).toEqual([0, `${HOST.descriptor.digest}\n`]);
    expect(told.stderr).toContain("copied");
    const again = await world.run(["copy", layout, `oci:${world.path}/a:it`]);
    expect(again.stderr).toContain("present");
    const quiet = await world.run(["--quiet", "copy", layout, `oci:${world.path}/b:it`]);
    expect([quiet.stdout, quiet.stderr]).toEqual([`${HOST.descriptor.digest}\n`, ""]);
  });

  test("takes one platform or some of an index, and does not mistake the one for the other", async () => {
    await using world = await openCliWorld();
    const layout = await layoutOf(world, INDEX);
    const copy = (...args: string[]): Promise<string> => world.ok("copy", ...args);
    const one = await copy("--platform", "plan9/mips", layout, `oci:${world.path}/one`);
    expect(one).toBe(OTHER.descriptor.digest);
    const platforms = ["--platform", "plan9/mips", "--platform", hostName()];
    const some = await copy(...platforms, layout, `oci:${world.path}/some`);
    expect(some).toBe(INDEX.descriptor.digest);
    expect(await copy(layout, `docker-archive:${world.path}/host.tar`)).toBe(
      HOST.descriptor.digest,
    );
    const all = ["copy", "--all-platforms", layout, `docker-archive:${world.path}/all.tar`];
    await expectFailure(world, 2, "ERR_RUNTIME_COPY_UNSUPPORTED", all);
  });
});

describe("what cannot be copied", () => {
  test("is told with what to write instead, and nothing is made", async () => {
    await using world = await openCliWorld();
    const layout = await layoutOf(world, HOST);
    const nowhere = join(world.path, "nowhere");
    const rows: readonly (readonly [number, string, readonly string[]])[] = [
      [2, "ERR_RUNTIME_INVALID_LOCATION", ["copy", layout, "busybox"]],
      [2, "ERR_RUNTIME_INVALID_LOCATION", ["copy", "docker:busybox", `oci:${nowhere}`]],
      [2, "ERR_RUNTIME_INVALID_LOCATION", ["copy", "oci:", `oci:${nowhere}`]],
      [2, "ERR_RUNTIME_INVALID_LOCATION", ["copy", "store:", `oci:${nowhere}`]],
      [2, "ERR_STOWAGE_USAGE", ["copy", layout]],
      [2, "ERR_CONTENT_INVALID_PLATFORM", ["copy", "--platform", "x", layout, `oci:${nowhere}`]],
      [2, "ERR_STOWAGE_USAGE", ["copy", "--tls-verify=x", layout, `oci:${nowhere}`]],
      [
        2,
        "ERR_STOWAGE_USAGE",
        ["copy", "--src-creds-stdin", "--dest-creds-stdin", layout, `oci:${nowhere}`],
      ],
      [
        2,
        "ERR_RUNTIME_COPY_UNSUPPORTED",
        ["copy", layout, `docker://localhost:1/a@${HOST.descriptor.digest}`],
      ],
      [2, "ERR_RUNTIME_COPY_UNSUPPORTED", ["copy", "--with-referrers", layout, "store:a"]],
      [3, "ERR_IMAGE_NOT_FOUND", ["copy", "store:none", `oci:${nowhere}`]],
      [3, "ERR_REGISTRY_NOT_FOUND", ["copy", `oci:${nowhere}`, `oci:${nowhere}2`]],
      [3, "ERR_REGISTRY_NOT_FOUND", ["copy", `dir:${nowhere}`, `oci:${nowhere}2`]],
      [3, "ERR_REGISTRY_NOT_FOUND", ["copy", `oci-archive:${nowhere}`, `oci:${nowhere}2`]],
      [3, "ERR_REGISTRY_NOT_FOUND", ["copy", `docker-archive:${nowhere}:a`, `oci:${nowhere}2`]],
      [8, "ERR_REGISTRY_INVALID_LAYOUT", ["copy", `oci:${world.path}`, `oci:${nowhere}`]],
      [3, "ERR_REGISTRY_NOT_FOUND", ["copy", `${layout}else`, `oci:${nowhere}`]],
      [2, "ERR_STOWAGE_USAGE", ["push", "sha256:abc"]],
      [3, "ERR_IMAGE_NOT_FOUND", ["push", "none"]],
      [2, "ERR_STOWAGE_USAGE", ["tags", "busybox:1"]],
      [2, "ERR_STOWAGE_USAGE", ["serve", "--port", "70000"]],
      [2, "ERR_STOWAGE_USAGE", ["completion", "tcsh"]],
    ];
    for (const [code, error, args] of rows) await expectFailure(world, code, error, args);
    await expect(stat(nowhere)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("no word of a location that may hold a password is repeated", async () => {
    await using world = await openCliWorld();
    const { stderr } = await world.run(["copy", "https://me:s3cret@example.com/a", "oci:x"]);
    expect(stderr).not.toContain("s3cret");
  });
});

describe("store:", () => {
  test("R3, R19: takes an image in as a pull would, and only if the policy says so", async () => {
    await using world = await openCliWorld();
    const layout = await layoutOf(world, INDEX);
    const name = "registry.example.com/team/app:7";
    const told = JSON.parse(await world.ok("--format", "json", "copy", layout, `store:${name}`));
    expect(told).toMatchObject({ digest: HOST.descriptor.digest, blobs: { existed: 0 } });
    const [image] = JSON.parse(await world.ok("--format", "json", "images"));
    expect(image.names).toEqual([name]);
    expect(image.digests).toContain(`registry.example.com/team/app@${INDEX.descriptor.digest}`);
    await writeFile(join(world.path, "policy.json"), '{"default":[{"type":"reject"}]}');
    const refused = ["copy", layout, "store:registry.example.com/team/other:7"];
    await expectFailure(world, 7, "ERR_POLICY_REJECTED", refused);
    expect(JSON.parse(await world.ok("--format", "json", "images"))).toHaveLength(1);
  });

  test("gives the manifest and the index as they were pulled", async () => {
    await using world = await openCliWorld();
    const layout = await layoutOf(world, INDEX);
    await world.ok("copy", layout, "store:localhost/app:1");
    const out = join(world.path, "out");
    expect(await world.ok("copy", "store:localhost/app:1", `oci:${out}:one`)).toBe(
      HOST.descriptor.digest,
    );
    expect(await bytesIn(out, HOST.descriptor.digest)).toEqual(Buffer.from(HOST.manifest));
    const byIndex = `store:localhost/app@${INDEX.descriptor.digest}`;
    expect(await world.ok("copy", byIndex, `oci:${out}:all`)).toBe(INDEX.descriptor.digest);
    expect(await bytesIn(out, INDEX.descriptor.digest)).toEqual(Buffer.from(INDEX.manifest));
    const all = await world.ok("copy", "--all-platforms", "store:localhost/app:1", `oci:${out}:al`);
    expect(all).toBe(INDEX.descriptor.digest);
    await expect(bytesIn(out, OTHER.descriptor.digest)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("a name with another digest than the image's is refused", async () => {
    await using world = await openCliWorld();
    const layout = await layoutOf(world, HOST);
    const name = `store:localhost/app@${OTHER.descriptor.digest}`;
    await expectFailure(world, 8, "ERR_CONTENT_NOT_FOUND", ["copy", layout, name]);
  });
});

describe.skipIf(!hasPeer("docker-registry"))("push", () => {
  test("R17 brings the very bytes to where the name says, or to another place", async () => {
    await using world = await openCliWorld();
    await using registry = await startDockerRegistry();
    const layout = await layoutOf(world, HOST);
    const name = `${registry.host}/team/app:1`;
    await world.ok("copy", layout, `store:${name}`);
    expect(await world.ok("push", PLAIN, name)).toBe(HOST.descriptor.digest);
    expect(await world.ok("push", PLAIN, name, `${registry.host}/team/app:2`)).toBe(
      HOST.descriptor.digest,
    );
    const { digest } = JSON.parse(
      await world.ok("--format=json", "push", name, `oci-archive:${world.path}/it.tar`),
    );
    expect(digest).toBe(HOST.descriptor.digest);
    const repository = `${registry.host}/team/app`;
    const lines = (await world.ok("tags", PLAIN, repository)).split("\n");
    expect(lines.toSorted()).toEqual(["1", "2"]);
    const told = JSON.parse(await world.ok("--format=json", "tags", PLAIN, repository));
    expect(told).toEqual({ repository, tags: lines });
  });

  test("mounts what the registry has in the repository that it came from", async () => {
    await using world = await openCliWorld();
    await using registry = await startDockerRegistry();
    const layout = await layoutOf(world, HOST);
    const name = `${registry.host}/team/app:1`;
    await world.ok("copy", PLAIN, layout, `docker://${name}`);
    await world.ok("pull", PLAIN, name);
    const to = `${registry.host}/other/app:1`;
    const told = JSON.parse(await world.ok("--format=json", "push", PLAIN, name, to));
    const blobs = HOST.blobs.size - 1;
    expect(told).toMatchObject({ bytes: 0, blobs: { mounted: blobs, uploaded: 0 } });
    // Where it came from may be gone by now, or be another registry's.
    const gone = "registry.test/gone/app:1";
    await world.ok("copy", layout, `store:${registry.host}/gone/app:1`);
    await world.ok("tag", `${registry.host}/gone/app:1`, gone);
    const again = `${registry.host}/third/app:1`;
    expect(await world.ok("push", PLAIN, gone, again)).toBe(HOST.descriptor.digest);
  });

  test("an index of which the store has a part is named as such by a registry that wants all", async () => {
    await using world = await openCliWorld();
    await using registry = await startDockerRegistry();
    const name = `${registry.host}/team/app:1`;
    await world.ok("copy", await layoutOf(world, INDEX), `store:${name}`);
    const { code, stderr } = await world.run(["push", PLAIN, "--all-platforms", name]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("MANIFEST");
  });
});

async function expectFailure(
  world: CliWorld,
  code: number,
  error: string,
  args: readonly string[],
): Promise<void> {
  const outcome = await world.run(["--format", "json", ...args]);
  const told: unknown = JSON.parse(
    outcome.stderr.split("\n").find((l) => l.startsWith("{")) ?? "{}",
  );
  expect([args, told, outcome.code]).toEqual([
    args,
    { error: expect.objectContaining({ code: error }) },
    code,
  ]);
}

function imageFor(platform: string | undefined): BuiltImage {
  return buildImage({
    layers: [
      { entries: hostShellEntries() },
      { entries: [{ name: "for", content: `${platform}` }] },
    ],
    ...(platform !== undefined && { platform: parsePlatform(platform) }),
  });
}

function hostName(): string {
  const { os = "", architecture = "" } = HOST.descriptor.platform ?? {};
  return `${os}/${architecture}`;
}

async function layoutOf(world: CliWorld, image: BuiltImage): Promise<string> {
  const path = join(world.path, `layout-${image.descriptor.digest.slice(7, 15)}`);
  await writeOciLayout(path, { it: image });
  return `oci:${path}:it`;
}

async function rawDigest(place: string): Promise<Digest> {
  const { stdout } = await run("skopeo", ["inspect", "--tls-verify=false", "--raw", place], {
    encoding: "buffer",
  });
  const { digestOf } = await import("@stowage/content");
  return parseDigest(digestOf(stdout));
}

function bytesIn(layout: string, digest: Digest): Promise<Buffer> {
  return readFile(join(layout, "blobs/sha256", digest.slice(7)));
}
