import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";

import { digestOf } from "@stowage/content";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { cString } from "../src/linux/libc.ts";
import { trySetXattrAt } from "../src/linux/xattr.ts";
import { openLayerBench } from "./support/layer-bench.ts";
import { type RawEntry, rawTar } from "./support/raw-tar.ts";
import { snapshotTree } from "./support/tree-snapshot.ts";

const isRoot = process.geteuid?.() === 0;
const asRoot = isRoot ? "" : " (skipped: needs root)";
/** Of its owner and user 1000 all, of its group to read and to enter, of others nothing. */
const LIST = Buffer.from(
  ["02000000", "01000700ffffffff", "02000700e8030000", "04000500ffffffff"].join("") +
    ["10000700ffffffff", "20000000ffffffff"].join(""),
  "hex",
);

describe.skipIf(!isRoot)(`what GNU tar makes${asRoot}`, () => {
  test.for(["gnu", "pax", "ustar"])("the same tree comes of its %s archives", async (format) => {
    await using bench = await openLayerBench();
    await using folder = await tempDir();
    const source = join(folder.path, "source");
    makeTree(source, format);
    const archive = join(folder.path, "archive.tar");
    const xattrs = format === "pax" ? ["--xattrs", "--xattrs-include=*", "--acls"] : [];
    tar("-c", "-f", archive, `--format=${format}`, "--numeric-owner", ...xattrs, "-C", source, ".");
    const expected = join(folder.path, "expected");
    mkdirSync(expected);
    const same = ["--same-owner", "--numeric-owner", "-p", "--xattrs", "--xattrs-include=*"];
    tar("-x", "-f", archive, ...same, ...(xattrs.length > 0 ? ["--acls"] : []), "-C", expected);
    const bytes = execFileSync("cat", [archive], { maxBuffer: 1e9 });

    for (const blob of [bytes, gzipSync(bytes), zstdCompressSync(bytes)]) {
      const layer = await bench.unpack(blob);
      expect(layer.tree).toEqual(snapshotTree(expected));
      expect(layer).toMatchObject({ diffID: digestOf(bytes), diffSize: bytes.length });
      expect(layer.impliedDirectories).toEqual([]);
    }
  });
});

describe.skipIf(!isRoot)(`layer entries${asRoot}`, () => {
  test("T42 missing parents are root's, 0755, as new as the layer, and reported", async () => {
    await using bench = await openLayerBench();
    const { tree, impliedDirectories } = await bench.unpack(
      rawTar({ name: "a/b/c", mtime: 5 }, { name: "a/d/", type: "5", mode: 0o700, mtime: 3 }),
    );
    expect(impliedDirectories.map((path) => Buffer.from(path).toString())).toEqual([
      "",
      "a",
      "a/b",
    ]);
    expect(tree["a/b"]).toContain("40755 | 0:0 | mtime 5000000000 ");
    expect(tree["a/d"]).toContain("40700 | 0:0 | mtime 3000000000 ");
  });

  test("T40 of entries with one name the last wins, whatever they are", async () => {
    await using bench = await openLayerBench();
    const flips: RawEntry[] = Array.from({ length: 1000 }, () => [
      { name: "x", type: "5" },
      { name: "x/in", body: "in" },
      { name: "x", body: "file" },
      { name: "x", type: "2", link: "elsewhere" },
      { name: "x", type: "6" },
    ]).flat();
    const { tree } = await bench.unpack(rawTar(...flips, { name: "x", body: "last" }));
    expect(Object.keys(tree)).toEqual(["", "x"]);
    expect(tree["x"]).toContain("size 4");
  });

  test("T06 V46 a directory that a link has replaced is not used any more", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpack(
      rawTar(
        { name: "d", type: "5" },
        { name: "d/x" },
        { name: "e", type: "5" },
        { name: "d", type: "2", link: "e" },
        { name: "d/y" },
      ),
    );
    expect(Object.keys(tree)).toEqual(["", "d", "e", "e/y"]);
  });

  test("T10 a hard link's entry describes the file that it shares", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpack(
      rawTar(
        { name: "a", body: "x", mode: 0o644 },
        { name: "b", type: "1", link: "/a", mode: 0o4755, uid: 7, mtime: 9 },
      ),
    );
    expect(tree["a"]).toContain("104755 | 7:0 | mtime 9000000000 | dev 0 | links 2 as a");
    expect(tree["b"]).toContain("links 2 as a");
  });

  test("whiteouts become what overlayfs takes for them", async () => {
    await using bench = await openLayerBench();
    const { tree, diffDir, isRootOpaque } = await bench.unpack(
      rawTar(
        { name: ".wh.gone" },
        { name: "d", type: "5" },
        { name: "d/sibling" },
        { name: "d/.wh..wh..opq" },
        { name: ".wh..wh.plnk/1.2" },
        { name: ".wh..wh.aufs" },
      ),
    );
    expect(Object.keys(tree)).toEqual(["", "d", "d/sibling", "gone"]);
    expect(tree["gone"]).toMatch(/^20000 .* dev 0 /);
    expect(tree["d"]).toContain("trusted.overlay.opaque=79");
    expect(isRootOpaque).toBe(false);
    expect(diffDir).toBeTruthy();
  });

  test.for([
    ["before", [{ name: ".wh.f" }, { name: "f", body: "1" }, { name: ".wh.d" }, { name: "d/y" }]],
    ["after", [{ name: "f", body: "1" }, { name: ".wh.f" }, { name: "d/y" }, { name: ".wh.d" }]],
  ] as const)(
    "T13 a whiteout %s what has its name hides only the layers below",
    async ([, list]) => {
      await using bench = await openLayerBench();
      const { tree } = await bench.unpack(rawTar(...list));
      expect(Object.keys(tree)).toEqual(["", "d", "d/y", "f"]);
      expect(tree["f"]).toContain("size 1");
      expect(tree["d"]).toContain("trusted.overlay.opaque=79");
    },
  );

  test("T22 T23 V52 only attributes that mean nothing to the kernel's overlay are set", async () => {
    await using bench = await openLayerBench();
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    const { tree } = await bench.unpack(
      rawTar({
        name: "f",
        pax: [
          ["SCHILY.xattr.trusted.overlay.opaque", "y"],
          ["SCHILY.xattr.trusted.other", "y"],
          ["SCHILY.xattr.user.overlay.redirect", "/x"],
          ["SCHILY.xattr.user.a.b=c", "kept"],
          ["SCHILY.xattr.user.fine", Buffer.from([0, 10, 61, 255])],
          ["SCHILY.xattr.security.selinux", "label"],
          ["SCHILY.xattr.security.ima", "sum"],
          ["SCHILY.xattr.security.capability", capability],
          ["LIBARCHIVE.xattr.user.no", "x"],
        ],
      }),
    );
    expect(tree["f"]).toContain("security.capability=010000020020");
    expect(tree["f"]).toContain("user.fine=000a3dff");
    expect(tree["f"]).not.toMatch(/overlay|trusted|selinux|ima|user\.no/);
    const garbage = await bench.unpack(
      rawTar({ name: "f", pax: [["SCHILY.xattr.security.capability", "garbage"]] }),
    );
    expect(garbage.tree["f"]).not.toContain("capability");
  });

  test("T37 names are bytes", async () => {
    await using bench = await openLayerBench();
    const names = [
      "\xff",
      "\xfe",
      "\xc3\xa9",
      "e\xcc\x81",
      "A",
      "a",
      "dot.",
      "space ",
      "new\nline",
      "C:\\x",
    ];
    const entries = names.map((name) => ({ name: Buffer.from(name, "latin1") }));
    const { tree } = await bench.unpack(rawTar(...entries));
    expect(Object.keys(tree).toSorted()).toEqual(["", ...names].toSorted());
  });

  test("T36 the longest name is kept; T45 closed directories are filled", async () => {
    await using bench = await openLayerBench();
    const name = "n".repeat(255);
    const { tree } = await bench.unpack(
      rawTar(
        { name: "closed", type: "5", mode: 0, mtime: 4 },
        { name: "closed/f" },
        { name: "x", pax: [["path", `closed/${name}`]] },
      ),
    );
    expect(Object.keys(tree)).toContain(`closed/${name}`);
    expect(tree["closed"]).toContain("40000 | 0:0 | mtime 4000000000 ");
  });

  test("T21 times out of range are brought into it", async () => {
    await using bench = await openLayerBench();
    const times = ["-5.5", "NaN", "1e30", "12.3456789012345"];
    const { tree } = await bench.unpack(
      rawTar(
        ...times.map((time, index) => ({ name: `${index}`, pax: [["mtime", time]] as const })),
      ),
    );
    expect(tree["0"]).toContain("mtime 0 ");
    expect(tree["1"]).toContain("mtime 0 ");
    expect(tree["2"]).toContain("mtime 1000000000 ");
    expect(tree["3"]).toContain("mtime 12345678901 ");
  });

  test.skipIf(!isRoot)(
    `files have their own owners where new ones get another group${asRoot}`,
    async () => {
      await using bench = await openLayerBench();
      chownSync(bench.directory, 0, 1234);
      chmodSync(bench.directory, 0o2755);
      const owners = [
        [0, 0],
        [0, 1234],
        [7, 1234],
        [0, 0],
      ] as const;
      const { tree } = await bench.unpack(
        rawTar(...owners.map(([uid, gid], at) => ({ name: `d/${at}`, uid, gid }))),
      );
      const found = owners.map((_, at) => tree[`d/${at}`]?.split(" | ")[1]);
      expect(found).toEqual(["0:0", "0:1234", "7:1234", "0:0"]);
    },
  );

  test("the root takes what its entry says", async () => {
    await using bench = await openLayerBench();
    const { tree, impliedDirectories } = await bench.unpack(
      rawTar({ name: "./", type: "5", mode: 0o700, uid: 7, gid: 8, mtime: 9 }),
    );
    expect(impliedDirectories).toEqual([]);
    expect(tree[""]).toContain("40700 | 7:8 | mtime 9000000000 ");
  });

  test.for([
    ["T48 no byte", Buffer.alloc(0)],
    ["T48 two blocks of zeros", Buffer.alloc(1024)],
    ["one block of zeros", Buffer.alloc(512)],
    ["gzip of nothing", gzipSync(Buffer.alloc(0))],
    ["zstd of nothing", zstdCompressSync(Buffer.alloc(0))],
  ] as const)("%s is an empty layer", async ([, blob]) => {
    await using bench = await openLayerBench();
    const { tree, entries } = await bench.unpack(blob);
    expect(Object.keys(tree)).toEqual([""]);
    expect(entries).toBe(0);
  });

  test("neither the umask nor a group that its place hands down shows in a layer", async () => {
    const archive = rawTar(
      { name: "./", type: "5", mode: 0o755 },
      { name: "usual/", type: "5", mode: 0o755 },
      { name: "shared/", type: "5", mode: 0o2775, gid: 50 },
      { name: "shared/below/", type: "5", mode: 0o755, gid: 50 },
      { name: "theirs/", type: "5", mode: 0o755, uid: 77, gid: 77 },
      { name: "handed-down/", type: "5", mode: 0o755, gid: 77 },
      { name: "implied/by/file", mode: 0o644 },
      { name: "shared/file", mode: 0o666, uid: 77, gid: 77 },
    );
    await using bench = await openLayerBench();
    await using other = await openLayerBench();
    chownSync(other.directory, 0, 77);
    chmodSync(other.directory, 0o2770);
    const { tree } = await bench.unpack(archive);
    expect((await other.unpack(archive)).tree).toEqual(tree);
    using _ = withUmask(0o077);
    expect((await bench.unpack(archive)).tree).toEqual(tree);
    expect((await other.unpack(archive)).tree).toEqual(tree);
    expect(tree["usual"]).toContain("40755 | 0:0 ");
    expect(tree["shared"]).toContain("42775 | 0:50 ");
    expect(tree["theirs"]).toContain("40755 | 77:77 ");
    expect(tree["implied/by"]).toContain("40755 | 0:0 ");
  });

  test("nor does an access list that its place hands down, which would give modes of its own", async () => {
    const archive = rawTar(
      { name: "d/", type: "5", mode: 0o755 },
      { name: "d/file", mode: 0o644 },
      { name: "implied/file", mode: 0o666 },
      { name: "own/", type: "5", pax: [["SCHILY.xattr.system.posix_acl_default", LIST]] },
    );
    await using bench = await openLayerBench();
    await using other = await openLayerBench();
    const directory = openSync(other.directory, "r");
    const name = cString("");
    expect(trySetXattrAt(directory, name, "system.posix_acl_default", LIST)).toBe(0);
    closeSync(directory);
    const { tree } = await other.unpack(archive);
    expect(tree).toEqual((await bench.unpack(archive)).tree);
    expect(tree["d/file"]).toContain("100644 | ");
    expect(tree["d"]).not.toContain("posix_acl");
    expect(tree["own"]).toContain(`system.posix_acl_default=${LIST.toString("hex")}`);
  });

  test("T32 what lies behind the end is hashed, not applied", async () => {
    await using bench = await openLayerBench();
    const twice = Buffer.concat([
      rawTar({ name: "a" }),
      rawTar({ name: "b" }),
      Buffer.from("rest"),
    ]);
    const { tree, diffID, diffSize } = await bench.unpack(gzipSync(twice));
    expect(Object.keys(tree)).toEqual(["", "a"]);
    expect({ diffID, diffSize }).toEqual({ diffID: digestOf(twice), diffSize: twice.length });
  });
});

function tar(...args: readonly string[]): void {
  execFileSync("tar", args, { stdio: ["ignore", "ignore", "inherit"] });
}

function makeTree(root: string, format: string): void {
  mkdirSync(root);
  const long = format === "ustar" ? "l".repeat(45) : "l".repeat(250);
  const script = `
    set -e; umask 022; cd "$1"
    mkdir -p d/e/f "${long}/${long}" sticky ro; chmod 1777 sticky
    echo hello > d/a; ln d/a d/e/hard; ln -s ../a d/e/soft; ln -s /etc/passwd abs
    ln d/e/soft d/e/f/hard-soft
    head -c 3000000 /dev/urandom > big; : > empty; head -c 512 /dev/zero > block
    echo x > "${long}/${long}/${long}"; ln -s "${long}/${long}" long-link
    mknod null c 1 3; mknod disk b 8 17; mkfifo pipe; chmod 640 null; chown 5:6 disk pipe
    cp /bin/true suid; chown 1000:1001 suid; chmod 6755 suid
    printf n > $(printf 'na\\377me'); printf n > $(printf 'na\\376me'); printf n > 'white  space'
    chown -h 7:8 abs; chown 65536:70000 empty
    touch -h -d '2001-02-03 04:05:06.123456789Z' d/e/soft d/a ro
    echo y > ro/file; touch -d '1999-01-01 00:00:00.5Z' ro; chmod 0555 ro; mkdir none; chmod 0 none
    if [ "${format}" = pax ]; then
      setfattr -n user.note -v hello d/a; setfattr -n user.dir -v there d
      cp /bin/true cap; chown 3:4 cap; setcap cap_net_raw+ep cap
      if command -v setfacl > /dev/null; then setfacl -m u:5:r d/a; setfacl -d -m u:5:rwx sticky; echo z > sticky/z; fi
    fi
    touch -d '2010-10-10 10:10:10Z' .
  `;
  const file = `${root}.sh`;
  writeFileSync(file, script);
  execFileSync("sh", [file, root], { stdio: ["ignore", "ignore", "inherit"] });
}

function withUmask(umask: number): Disposable {
  const before = process.umask(umask);
  return { [Symbol.dispose]: () => void process.umask(before) };
}
