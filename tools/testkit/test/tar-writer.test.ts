import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { createTar, hasPeer, snapshotTree, tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

test("writes what GNU tar reads", () => {
  const tar = createTar([
    { name: "a/", type: "directory", mode: 0o700 },
    { name: "a/file", content: "hello", uid: 7, gid: 8, mtime: 86_400 },
    { name: "a/link", type: "symlink", linkName: "file" },
    { name: "a/twin", type: "hard-link", linkName: "a/file" },
  ]);
  const listed = execFileSync("tar", ["--utc", "--numeric-owner", "-tvf", "-"], {
    input: tar,
    encoding: "utf8",
  });
  expect(listed.split("\n").map((line) => line.replaceAll(/ +/g, " "))).toEqual([
    "drwx------ 0/0 0 1970-01-01 00:00 a/",
    "-rw-r--r-- 7/8 5 1970-01-02 00:00 a/file",
    "lrw-r--r-- 0/0 0 1970-01-01 00:00 a/link -> file",
    "hrw-r--r-- 0/0 0 1970-01-01 00:00 a/twin link to a/file",
    "",
  ]);
});

test("refuses a name that the format has no room for", () => {
  expect(() => createTar([{ name: "n".repeat(101) }])).toThrow(RangeError);
});

const canSnapshot = process.getuid?.() === 0 && hasPeer("getfattr");

test.runIf(canSnapshot)(
  "writes devices, nanoseconds, attributes and bytes that are no text (if root, with getfattr)",
  async () => {
    await using folder = await tempDir();
    const tree = join(folder.path, "tree");
    await mkdir(tree);
    const tar = createTar([
      { name: "null", type: "char-device", device: { major: 1, minor: 3 }, mode: 0o666 },
      { name: "loop", type: "block-device", device: { major: 7, minor: 300 } },
      { name: "fifo", type: "fifo" },
      { name: Buffer.from([0xff, 0x20, 0x0a]), mtimeNs: 1_234_567_890_123_456_789n },
      { name: "old", mtimeNs: -1_500_000_000n },
      { name: "noted", xattrs: { "user.note": Buffer.from([0, 0xff]), "user.none": "" } },
      { name: "short", pax: [["path", "n".repeat(200)]] },
    ]);
    execFileSync("tar", ["-C", tree, "-xf", "-", "--xattrs", "--xattrs-include=*"], { input: tar });
    const entries = new Map(snapshotTree(tree).map((entry) => [entry.path, entry]));
    expect(entries.get("null")).toMatchObject({ type: "char", device: { major: 1, minor: 3 } });
    expect(entries.get("loop")).toMatchObject({ type: "block", device: { major: 7, minor: 300 } });
    expect(entries.get("fifo")?.type).toBe("fifo");
    expect(entries.get("\u00ff \n")?.mtimeNs).toBe(1_234_567_890_123_456_789n);
    expect(entries.get("old")?.mtimeNs).toBe(-1_500_000_000n);
    expect(entries.get("noted")?.xattrs).toEqual({ "user.note": "00ff", "user.none": "" });
    expect(entries.has("n".repeat(200))).toBe(true);
  },
);

test("lays bytes over a header, the checksum following them unless it is told, too", () => {
  const gnu = createTar([{ name: "a", overlay: [{ offset: 257, bytes: "ustar  \0" }] }]);
  expect(listed(gnu)).toBe("a\n");
  expect(() => listed(createTar([{ name: "a", checksum: "0000000\0" }]))).toThrow("tar");
});

test("writes any type flag, and as many end blocks as it is told", () => {
  const tar = createTar([{ name: "a", type: "Z" }], { endBlocks: 0 });
  expect([tar.length, tar.toString("latin1", 156, 157)]).toEqual([512, "Z"]);
});

test.for([{ uid: 0o10000000 }, { mtime: -1 }, { device: { major: 0o10000000, minor: 0 } }])(
  "refuses a number that its field has no room for: %o",
  (fields) => {
    expect(() => createTar([{ name: "a", ...fields }])).toThrow(RangeError);
  },
);

function listed(tar: Buffer): string {
  return execFileSync("tar", ["-tf", "-"], { input: tar, encoding: "utf8", stdio: "pipe" });
}
