import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld } from "./support/cli-world.ts";

describe("fsck", () => {
  test("finds a damaged blob, repairs it with one fetch, and ends with 8 only before that", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const { layers } = JSON.parse(await world.ok("inspect", world.image));
    const digest: string = layers[0].blob?.digest ?? layers[0].digest;
    const blob = join(world.path, "root/blobs/sha256", digest.slice("sha256:".length));
    await truncate(blob, 9);
    const found = await world.run(["--format=json", "fsck"]);
    expect(found.code).toBe(8);
    expect(JSON.parse(found.stdout)).toMatchObject({
      damages: [{ kind: "blob", id: digest, fault: "wrong size", outcome: "found" }],
      checked: { images: 1, names: 1 },
    });
    expect((await world.run(["fsck"])).stdout).toContain("stowage fsck --repair");
    const repaired = await world.ok("fsck", "--repair", "--tls-verify=false");
    expect(repaired).not.toContain("stowage fsck --repair");
    expect(repaired).toContain(`repaired: blob ${digest}`);
    const clean = JSON.parse(await world.ok("--format=json", "fsck", "--deep"));
    expect(clean).toMatchObject({ damages: [], unverified: [] });
  });

  test("names the layer and the first wrong path, and puts it in order from its blob", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const [id = ""] = await readdir(join(world.path, "root/layers"));
    const [entry = ""] = await readdir(join(world.path, "root/layers", id, "diff/bin"));
    await rm(join(world.path, "root/layers", id, "diff/bin", entry));
    const { code, stdout } = await world.run(["fsck"]);
    expect(code).toBe(8);
    expect(stdout).toContain(`found: layer ${id}: bin/${entry}: missing`);
    await world.ok("fsck", "--repair");
    await world.ok("fsck", "--deep");
  });

  test("names some of many users of a damaged layer, and all as JSON", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const pod = await world.ok("pod", "create", "many");
    for (let at = 0; at < 9; at += 1) await world.ok("create", "--pod", pod, world.image);
    const [id = ""] = await readdir(join(world.path, "root/layers"));
    await rm(join(world.path, "root/layers", id, "diff/bin"), { recursive: true });
    const { stdout } = await world.run(["fsck"]);
    expect(stdout).toMatch(
      /^ {2}used by (?:[a-z]+ [a-z0-9:]+, ){7}[a-z]+ [a-z0-9:]+ and \d+ more$/mu,
    );
    const { damages } = JSON.parse((await world.run(["--format=json", "fsck"])).stdout);
    expect(damages[0].usedBy.length).toBeGreaterThanOrEqual(10);
  });

  test("writes the record of an image anew that is gone, of which gc took nothing meanwhile", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const listed = await world.ok("images");
    const images = join(world.path, "root/images");
    await rm(images, { recursive: true });
    await mkdir(images);
    const shown = await world.run(["images"]);
    expect(shown.stderr).toContain("fsck --repair");
    expect(shown.stderr).toContain(world.image);
    const inspected = await world.run(["inspect", world.image]);
    expect(inspected.code).toBe(8);
    expect(inspected.stderr).toContain("fsck --repair");
    for (const command of ["gc", "prune"]) {
      expect(await world.ok(command, "--dry-run")).not.toMatch(/^remove/m);
      await world.ok(command);
    }
    expect((await world.run(["fsck"])).code).toBe(8);
    expect(await world.ok("fsck", "--repair")).toContain("repaired: image sha256:");
    await world.ok("fsck", "--deep");
    expect(await world.ok("images")).toBe(listed);
    await rm(images, { recursive: true });
    await mkdir(images);
    await world.ok("pull", "--tls-verify=false", world.image);
    await world.ok("fsck", "--deep");
    expect(await world.ok("images")).toBe(listed);
  });
});

describe("gc", () => {
  test("a dry run says why each thing stays or goes; without, what was freed", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const stray = join(world.path, "root/blobs/sha256", "5".repeat(64));
    await writeFile(stray, "left by a pull that was killed");
    const planned = await world.ok("gc", "--dry-run");
    expect(planned).toMatch(new RegExp(`remove +blob +sha256:${"5".repeat(64)}.*nothing needs it`));
    expect(planned).toMatch(/keep +layer .* image sha256:[0-9a-f]+ needs it/);
    const report = JSON.parse(await world.ok("--format=json", "gc"));
    expect(report.items).toContainEqual(
      expect.objectContaining({ kind: "blob", action: "remove" }),
    );
    expect(report.removedBytes).toBeGreaterThan(0);
    expect(await readdir(join(world.path, "root/blobs/sha256"))).not.toContain("5".repeat(64));
    await world.ok("fsck", "--deep");
  });
});

describe("prune", () => {
  test("takes by last use, by age, by tags and by bytes, as it is told", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    await world.ok("tag", world.image, `${world.host}/shell:2`);
    const tags = await world.ok("prune", "--keep-tags=1");
    expect(tags).toContain(`removed  name  ${world.host}/shell:1`);
    expect(await count(world)).toBe(1);
    await world.ok("prune", "--unused-for=1h", "--older-than=1h", "--keep-bytes=10GB");
    expect(await count(world)).toBe(1);
    const [image = ""] = await readdir(join(world.path, "root/images"));
    const file = join(world.path, "root/images", image, "image.json");
    const record = JSON.parse(await readFile(file, "utf8"));
    await writeFile(file, JSON.stringify({ ...record, created: "2020-01-01T00:00:00Z" }));
    const past = new Date(Date.now() - 90 * 60_000);
    await utimes(join(file, "../last-used"), past, past);
    const planned = JSON.parse(
      await world.ok("--format=json", "prune", "--unused-for=1h", "--dry-run"),
    );
    expect(planned.items).toMatchObject([
      { kind: "image", action: "remove", reason: "it was last used 1 hour ago" },
    ]);
    expect(await count(world)).toBe(1);
    await world.ok("prune", "--unused-for=1h");
    expect(await count(world)).toBe(0);
    expect(await readdir(join(world.path, "root/layers"))).toEqual([]);
  });

  test.each([
    ["--unused-for", "30"],
    ["--keep-tags", "-1"],
    ["--keep-bytes", "10parsecs"],
  ])("is a usage error for %s %s", async (flag, value) => {
    await using world = await openCliWorld();
    const { code, stderr } = await world.run(["prune", `${flag}=${value}`]);
    expect([code, stderr.includes(flag)]).toEqual([2, true]);
  });
});

describe("df", () => {
  test("adds up to what du sees", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    await world.ok("gc");
    const usage = JSON.parse(await world.ok("--format=json", "df"));
    const root = join(world.path, "root");
    const du = execFileSync("du", ["-s", "--block-size=1", root], { encoding: "utf8" });
    expect(usage.bytes).toBe(Number(du.split("\t")[0]));
    expect(usage.images).toMatchObject([{ names: [world.image], sharedBytes: 0 }]);
    const text = await world.ok("df");
    expect(text).toMatch(/^layers +1 +/m);
    expect(text).toContain("gc would free 0 B");
  });

  test("lists all names of an image, and what an export keeps of one that is gone", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const id = await world.ok("tag", world.image, "localhost/other:1").then(async () => {
      const [image] = JSON.parse(await world.ok("--format=json", "images"));
      return String(image.id).slice("sha256:".length, "sha256:".length + 12);
    });
    const lines = (await world.ok("df")).split("\n").filter((line) => line.includes(id));
    expect(lines.map((line) => line.split(" ")[0] ?? "").toSorted()).toEqual(
      [world.image, "localhost/other:1"].toSorted(),
    );
    expect(lines.filter((line) => /MB|KB|kB/.test(line))).toHaveLength(1);
    const directory = join(world.path, "exported");
    await world.ok("export", "podman", directory);
    await world.ok("rmi", id);
    const usage = JSON.parse(await world.ok("--format=json", "df"));
    const purpose = `the export to podman at ${directory}`;
    expect(usage).toMatchObject({ images: [], kept: [{ purpose }] });
    expect(usage.kept[0].ownBytes).toBeGreaterThan(usage.layers.bytes / 2);
    expect(await world.ok("df")).toMatch(new RegExp(`^${purpose} +[\\d.]+ .?B +[\\d.]+ .?B`, "m"));
  });
});

async function count(world: CliWorld): Promise<number> {
  return JSON.parse(await world.ok("--format=json", "images")).length;
}

describe("export podman", () => {
  test("makes a directory, tells what is in it, and removes it", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const directory = join(world.path, "exported");
    expect(await world.ok("export", "podman", directory, world.image)).toBe(directory);
    const all = JSON.parse(await world.ok("--format=json", "export", "podman", directory));
    expect(all).toEqual({ directory, images: [expect.stringMatching(/^sha256:/)], layers: 1 });
    expect(await readdir(directory)).toContain("overlay-images");
    expect((await world.run(["export", "podman", directory, "no/such:1"])).code).toBe(3);
    expect((await world.run(["export", "podman", world.path])).code).toBe(2);
    expect((await world.run(["export", "podman", "--remove", directory, world.image])).code).toBe(
      2,
    );
    expect(await world.ok("export", "podman", "--remove", directory)).toBe(directory);
    expect((await world.run(["export", "podman", "--remove", directory])).code).toBe(2);
  });
});
