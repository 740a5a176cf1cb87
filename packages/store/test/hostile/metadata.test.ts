import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { IS_ROOT, NEEDS_ROOT } from "../support/needs-root.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

const xattrs = (all: Readonly<Record<string, string | Buffer>>): NonNullable<RawEntry["pax"]> =>
  Object.entries(all).map(([name, value]) => [`SCHILY.xattr.${name}`, value] as const);
const capability = (revision: number, bytes: number, rootId = 0): Buffer => {
  const value = Buffer.alloc(bytes);
  value.writeUInt32LE(((revision << 24) >>> 0) | 1, 0);
  if (bytes > 4) value.writeUInt32LE(0x2000, 4);
  if (bytes === 24) value.writeUInt32LE(rootId, 20);
  return value;
};

describe.skipIf(!IS_ROOT)(`what an entry says of itself${NEEDS_ROOT}`, () => {
  test("T17 T18 permission bits are kept with set-user-ID and all, and others are cut off", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpackPacked(
      rawTar(
        { name: "setuid", mode: 0o4755, uid: 1000, gid: 1001, body: "x" },
        { name: "all", mode: 0o6777, uid: 5 },
        { name: "sticky", type: "5", mode: 0o1777 },
        { name: "wide", mode: 0o17_7777 },
        { name: "binary", mode: Buffer.from("80000000000001a4", "hex") },
      ),
    );
    const modes = Object.entries(tree).map(([name, line]) => `${name} ${line.split(" | ")[0]}`);
    expect(modes.slice(1)).toEqual([
      "all 106777",
      "binary 100644",
      "setuid 104755",
      "sticky 41777",
      "wide 107777",
    ]);
    expect(tree["setuid"]).toContain("1000:1001");
  });

  test("T19 owners are the numbers of the archive, up to the last that there is, whatever the names", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpackPacked(
      rawTar(
        {
          name: "last",
          pax: [
            ["uid", String(2 ** 32 - 2)],
            ["gid", "3000000"],
            ["uname", "root"],
          ],
        },
        { name: "binary", uid: 3_000_000, gid: 2 ** 32 - 2 },
      ),
    );
    expect(tree["last"]).toContain("4294967294:3000000");
    expect(tree["binary"]).toContain("3000000:4294967294");
  });

  test("T22 V52 no attribute of an overlay reaches a file, a directory or the root", async () => {
    await using bench = await openLayerBench();
    const names = [
      "opaque",
      "redirect",
      "metacopy",
      "whiteout",
      "origin",
      "upper",
      "impure",
      "nlink",
      "protattr",
      "uuid",
      "overlay.opaque",
    ];
    const bad = names.flatMap((name) => [
      [`trusted.overlay.${name}`, "y"] as const,
      [`user.overlay.${name}`, "y"] as const,
    ]);
    const pax = xattrs({ ...Object.fromEntries(bad), "user.kept": "yes", "user.overlays": "no" });
    const { tree } = await bench.unpackPacked(
      rawTar(
        { name: "./", type: "5", pax },
        { name: "d", type: "5", pax },
        { name: "f", pax },
        { name: "h", type: "1", link: "f", pax },
      ),
    );
    for (const name of ["", "d", "f", "h"]) {
      expect(tree[name]).toContain("user.kept=796573,user.overlays=6e6f");
      expect(tree[name]).not.toMatch(/trusted|user\.overlay\./);
    }
  });

  test("T23 of capabilities only those that the kernel knows are kept", async () => {
    await using bench = await openLayerBench();
    const values: Readonly<Record<string, Buffer>> = {
      v1: capability(1, 12),
      v2: capability(2, 20),
      v2short: capability(2, 19),
      v3: capability(3, 24, 1000),
      v3nobody: capability(3, 24, 0xffff_ffff),
      v4: capability(4, 24),
      empty: Buffer.alloc(0),
      garbage: Buffer.from("garbage"),
    };
    const { tree } = await bench.unpackPacked(
      rawTar(
        ...Object.entries(values).map(([name, value]) => ({
          name,
          body: "x",
          pax: xattrs({
            "security.capability": value,
            "security.evm": "x",
            "security.selinux": "x",
          }),
        })),
      ),
    );
    const kept = Object.keys(tree).filter((name) => tree[name]?.includes("security.capability"));
    expect(kept).toEqual(["v2", "v3"]);
    expect(JSON.stringify(tree)).not.toMatch(/evm|selinux/);
  });

  test("T23 an access list that is none fails the layer, as it does elsewhere", async () => {
    await using bench = await openLayerBench();
    const entry = { name: "f", pax: xattrs({ "system.posix_acl_access": "garbage" }) };
    expect(await bench.refusalOf(rawTar(entry))).toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
  });

  test("T25 attributes of links and fifos change nothing but those, and V44 nothing that a link names", async () => {
    await using bench = await openLayerBench();
    const pax = xattrs({ "user.a": "b", "security.capability": capability(2, 20) });
    const link = `${bench.canary}/file`;
    const { tree } = await bench.unpackPacked(
      rawTar(
        { name: "l", type: "2", link, pax, mode: 0o777, uid: 9, mtime: 5 },
        { name: "p", type: "6", pax, mode: 0o600, uid: 9 },
        { name: "h", type: "1", link: "l", pax, mode: 0o4777, uid: 8 },
      ),
    );
    expect(tree["l"]).not.toContain("user.a");
    expect(tree["p"]).not.toContain("user.a");
    expect(tree["h"]).toContain("links 2 as h");
  });

  test("T26 flags of other systems' files are passed over", async () => {
    await using bench = await openLayerBench();
    const { diffDir } = await bench.unpackPacked(
      rawTar({
        name: "f",
        pax: [
          ["SCHILY.fflags", "schg,uchg"],
          ["LIBARCHIVE.fflags", "schg"],
        ],
      }),
    );
    writeFileSync(join(diffDir, "f"), "not immutable");
  });

  test("T21 times that there are not are brought to the nearest that there are", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpack(
      rawTar(
        { name: "negative", mtime: Buffer.alloc(12, 0xff) },
        {
          name: "garbage",
          pax: [
            ["mtime", "1.x"],
            ["atime", "999999999999999999999"],
          ],
        },
        { name: "huge", mtime: Buffer.from("807fffffffffffffffffffff", "hex") },
      ),
    );
    expect(tree["negative"]).toContain("mtime 0 ");
    expect(tree["garbage"]).toContain("mtime 1000000000 ");
    expect(BigInt(/mtime (-?\d+)/.exec(tree["huge"] ?? "")?.[1] ?? 0)).toBeGreaterThan(2n ** 33n);
  });
});

describe.skipIf(!IS_ROOT)(`in a user namespace${NEEDS_ROOT}`, () => {
  test("T16 T17 devices are left out and counted, and what it may make is made", async () => {
    const answer = await unpackInNamespace([
      { name: "null", type: "3", major: 1, minor: 3 },
      { name: "sda", type: "4", major: 8, minor: 0 },
      { name: "pipe", type: "6" },
      { name: "setuid", mode: 0o4755, body: "x" },
      { name: ".wh.gone" },
      { name: "d/.wh..wh..opq" },
    ]);
    expect(answer).toMatchObject({ entries: 6, skippedDevices: 2 });
  });

  test("T20 an owner that the namespace does not have is refused by its number", async () => {
    for (const type of ["0", "2", "5", "6"]) {
      const answer = await unpackInNamespace([{ name: "f", type, link: "x", uid: 70_000, gid: 3 }]);
      expect(answer).toMatchObject({
        code: "ERR_STORE_INVALID_LAYER",
        message: expect.stringContaining("70000:3"),
      });
    }
  });

  test("T20 the ID that stands for all that it does not have makes no owner of another's", async () => {
    const gid = Number(readFileSync("/proc/sys/kernel/overflowgid", "latin1"));
    for (const type of ["0", "5"]) {
      const answer = await unpackInNamespace([{ name: "f", type, gid }], 77);
      expect(answer).toMatchObject({
        code: "ERR_STORE_INVALID_LAYER",
        message: expect.stringContaining(`0:${gid}`),
      });
    }
  });
});

describe.skipIf(!IS_ROOT)(`for a root that modes hold for${NEEDS_ROOT}`, () => {
  test("T17 T21 directories that nobody may enter get their times all the same", async () => {
    const withoutOverride = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    const entries: readonly RawEntry[] = [{ name: "shut/", type: "5", mode: 0o600, mtime: 5 }];
    expect(await unpackBy(withoutOverride, entries)).toEqual({ entries: 1, skippedDevices: 0 });
  });
});

/** Unpacks in a process that is root of a user namespace with a single user. */
async function unpackInNamespace(entries: readonly RawEntry[], group = 0): Promise<unknown> {
  return await unpackBy(["unshare", "--map-root-user"], entries, group);
}

/** Unpacks in a process that a command starts. */
async function unpackBy(
  [command = "", ...args]: readonly string[],
  entries: readonly RawEntry[],
  group = 0,
): Promise<unknown> {
  await using folder = await tempDir();
  chownSync(folder.path, 0, group);
  chmodSync(folder.path, 0o2755);
  const blobPath = join(folder.path, "blob");
  const diffDir = join(folder.path, "diff");
  mkdirSync(diffDir);
  writeFileSync(blobPath, rawTar(...entries));
  const script = join(import.meta.dirname, "../support/unpack-one.ts");
  const node = [process.execPath, "--conditions=@stowage/source", script, blobPath, diffDir];
  const { stdout, stderr } = spawnSync(command, [...args, ...node], { encoding: "utf8" });
  return JSON.parse(stdout || JSON.stringify(stderr));
}
