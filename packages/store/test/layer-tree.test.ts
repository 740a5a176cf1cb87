import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import {
  renameExchange,
  renameNoReplace,
  syncFilesystem,
  fsyncDirectory,
} from "../src/linux/file-calls.ts";
import { copyDirectoryMetadata, removeTree } from "../src/linux/tree.ts";

const isRoot = process.geteuid?.() === 0;

describe("removeTree", () => {
  test("T36 removes what is deeper than any path, with links and closed directories", async () => {
    using world = makeWorld();
    const tree = join(world.directory, "tree");
    mkdirSync(tree);
    const script = `
      import os, sys
      os.chdir(sys.argv[1]); os.symlink("../kept", "out"); os.mkdir("closed", 0)
      for _ in range(700):
          os.mkdir("n" * 20); open("f", "w").close(); os.chdir("n" * 20)
    `.replaceAll(/^ {6}/gm, "");
    execFileSync("python3", ["-c", script, tree]);
    writeFileSync(join(world.directory, "kept"), "kept");
    await removeTree(tree);
    expect(existsSync(tree)).toBe(false);
    expect(readFileSync(join(world.directory, "kept"), "utf8")).toBe("kept");
  });

  test("needs no right to write to what it removes, but that it is the owner's", async () => {
    using world = makeWorld();
    const tree = join(world.directory, "tree");
    const script = `
      import os, sys
      os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])
      os.mkdir("listed"); open("listed/f", "w").close(); os.chmod("listed", 0o444)
      for mode in [0o555] * 140:
          open("f", "w").close(); os.mkdir("d"); os.mkdir("e"); os.chmod("e", mode)
          here = os.open(".", os.O_RDONLY); os.chdir("d"); os.fchmod(here, mode); os.close(here)
    `.replaceAll(/^ {6}/gm, "");
    execFileSync("python3", ["-c", script, tree]);
    const remove = `const { removeTree } = await import(process.argv[1]); await removeTree(process.argv[2]);`;
    const node = [process.execPath, "--input-type=module", "--conditions=@stowage/source"];
    const module = new URL("../src/linux/tree.ts", import.meta.url).href;
    // Root has such rights to everything; without this capability, it does not.
    const without = isRoot
      ? ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
      : [];
    execFileSync("env", [...without, ...node, "--eval", remove, module, tree], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    expect(existsSync(tree)).toBe(false);
  });

  test("takes what is missing for removed, and a file for a tree", async () => {
    using world = makeWorld();
    const file = join(world.directory, "file");
    await removeTree(file);
    await removeTree(join(file, "below/it"));
    writeFileSync(file, "");
    await removeTree(file);
    expect(existsSync(file)).toBe(false);
  });

  test.skipIf(!isRoot)(
    `never goes into a mount${isRoot ? "" : " (skipped: needs root)"}`,
    async () => {
      using world = makeWorld();
      const mount = join(world.directory, "tree/mount");
      mkdirSync(mount, { recursive: true });
      execFileSync("mount", ["-t", "tmpfs", "none", mount]);
      try {
        writeFileSync(join(mount, "kept"), "kept");
        await expect(removeTree(join(world.directory, "tree"))).rejects.toMatchObject({
          syscall: expect.any(String),
        });
        expect(existsSync(join(mount, "kept"))).toBe(true);
      } finally {
        execFileSync("umount", [mount]);
      }
    },
  );
});

describe("renames", () => {
  test("renameNoReplace keeps what is there; renameExchange swaps", () => {
    using world = makeWorld();
    const [one, other] = [join(world.directory, "one"), join(world.directory, "other")];
    writeFileSync(one, "1");
    writeFileSync(other, "2");
    expect(() => renameNoReplace(one, other)).toThrowError(
      expect.objectContaining({ code: "EEXIST" }),
    );
    renameExchange(one, other);
    expect(readFileSync(one, "utf8")).toBe("2");
    renameNoReplace(one, join(world.directory, "third"));
    expect(existsSync(one)).toBe(false);
  });

  test("syncs succeed, and fail by name", async () => {
    using world = makeWorld();
    await syncFilesystem(world.directory);
    fsyncDirectory(world.directory);
    await expect(syncFilesystem("/nonexistent")).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("copyDirectoryMetadata", () => {
  test.skipIf(!isRoot)(
    `copies mode, owner, times and attributes${isRoot ? "" : " (skipped: needs root)"}`,
    () => {
      using world = makeWorld();
      const [from, to] = [join(world.directory, "from"), join(world.directory, "to")];
      mkdirSync(join(from, "a/b"), { recursive: true });
      mkdirSync(join(to, "a/b"), { recursive: true });
      execFileSync(
        "sh",
        ["-c", "chown 5:6 a/b; chmod 2710 a/b; touch -d 2001-01-01T00:00:00.5Z a/b"],
        { cwd: from },
      );
      execFileSync("setfattr", ["-n", "user.note", "-v", "x", "a/b"], { cwd: from });
      execFileSync("setfattr", ["-n", "trusted.overlay.opaque", "-v", "y", "a/b"], { cwd: to });
      expect(copyDirectoryMetadata(from, to, Buffer.from("a/b"))).toBe(true);
      expect(copyDirectoryMetadata(from, to, Buffer.from("a/missing"))).toBe(false);
      expect(copyDirectoryMetadata(from, to, Buffer.alloc(0))).toBe(true);
      const { mode, uid, gid, mtimeMs } = statSync(join(to, "a/b"));
      expect({ mode, uid, gid, mtimeMs }).toEqual({
        mode: 0o42710,
        uid: 5,
        gid: 6,
        mtimeMs: 978307200500,
      });
      const shown = execFileSync("getfattr", ["-d", "-m", "-", "a/b"], {
        cwd: to,
        encoding: "utf8",
      });
      expect(shown).toContain('user.note="x"');
      expect(shown).toContain('trusted.overlay.opaque="y"');
    },
  );
});

function makeWorld(): Disposable & { readonly directory: string } {
  const directory = mkdtempSync(join(tmpdir(), "stowage-tree-"));
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}
