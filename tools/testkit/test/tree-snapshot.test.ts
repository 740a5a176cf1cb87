import { execFileSync } from "node:child_process";
import { chmod, link, mkdir, rename, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { diffTrees, hasPeer, snapshotTree, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

describe.runIf(hasPeer("getfattr"))("a snapshot of a tree (if getfattr is installed)", () => {
  test("tells of a tree what is to be told, by the bytes of its paths", async () => {
    await using folder = await tempDir();
    const tree = await makeTree(folder.path);
    const entries = snapshotTree(tree);
    expect(entries.map(({ path }) => path)).toEqual([
      "",
      "a",
      "a/file",
      "a/twin",
      "back\\slash\n\u00ff",
      "link",
    ]);
    expect(entries.slice(2)).toMatchObject([
      { type: "file", size: 4, mode: 0o4711, hardLinkGroup: "a/file" },
      { type: "file", hardLinkGroup: "a/file" },
      { type: "file", size: 0, xattrs: { "user.b": "00", "user.c\n=": "" } },
      { type: "symlink", linkTarget: "no\u00ff" },
    ]);
    expect(entries.at(-1)?.hardLinkGroup).toBeUndefined();
  });

  test("is equal to that of a copy, and names what was changed in it", async () => {
    await using folder = await tempDir();
    const tree = await makeTree(folder.path);
    const copy = join(folder.path, "copy");
    execFileSync("cp", ["--archive", tree, copy]);
    const before = snapshotTree(tree);
    expect(diffTrees(before, snapshotTree(copy))).toEqual([]);
    await writeFile(join(copy, "a/file"), "next");
    // A write of anybody's but root's takes the set-user-ID bit away.
    await chmod(join(copy, "a/file"), 0o4711);
    await utimes(join(copy, "a/file"), 1, 1);
    await rename(join(copy, "link"), join(copy, "other"));
    await utimes(copy, 1, 1);
    await chmod(join(copy, "a"), 0o700);
    execFileSync("setfattr", ["-n", "user.new", "-v", "1", join(copy, "a")]);
    expect(diffTrees(before, snapshotTree(copy)).map((line) => line.slice(0, 20))).toEqual(
      [
        '"": mtimeNs ',
        '"a": mode 755 ≠ 700',
        '"a": xattrs {} ≠ {"user.new":"31"}',
        '"a/file": mtimeNs ',
        '"a/file": sha256 ',
        '"a/twin": mtimeNs ',
        '"a/twin": sha256 ',
        '"link": only in the first',
        '"other": only in the second',
      ].map((line) => expect.stringContaining(line.slice(0, 20))),
    );
  });

  test("leaves out the attributes that it is told to, and sees touches", async () => {
    await using folder = await tempDir();
    const tree = await makeTree(folder.path);
    const bare = snapshotTree(tree, { withoutXattrs: ["user."] });
    expect(bare.every(({ xattrs }) => Object.keys(xattrs).length === 0)).toBe(true);
    const before = snapshotTree(tree, { touches: true });
    expect(diffTrees(before, snapshotTree(tree, { touches: true }))).toEqual([]);
    await chmod(join(tree, "a"), 0o755);
    expect(diffTrees(before, snapshotTree(tree, { touches: true }))).toEqual([
      expect.stringContaining('"a": touches'),
    ]);
  });
});

async function makeTree(parent: string): Promise<string> {
  const tree = join(parent, "tree");
  await mkdir(join(tree, "a"), { recursive: true });
  await writeFile(join(tree, "a/file"), "text");
  await chmod(join(tree, "a/file"), 0o4711);
  await link(join(tree, "a/file"), join(tree, "a/twin"));
  await symlink(Buffer.from([0x6e, 0x6f, 0xff]), join(tree, "link"));
  const odd = Buffer.concat([Buffer.from(`${tree}/back\\slash\n`), Buffer.from([0xff])]);
  await writeFile(odd, "");
  // A shell passes the bytes on; a child's arguments could be text only.
  const script =
    'cd "$1" && for f in back*; do setfattr -n user.b -v 0x00 "$f"; setfattr -n "$2" "$f"; done';
  execFileSync("sh", ["-c", script, "sh", tree, "user.c\n="]);
  return tree;
}
