import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { openStore } from "@stowage/store";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { unpackLayer } from "../src/layer/unpack-layer.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import { rawTar } from "./support/raw-tar.ts";

/** Kinds of file system that a store can not lie on, and what each lacks. */
const LACKING = [
  ["ramfs", "mount -t ramfs none $1", "attributes"],
  [
    "overlayfs",
    "mkdir $2/low $2/up $2/work; mount -t overlay none -o lowerdir=$2/low,upperdir=$2/up,workdir=$2/work $1",
    "whiteouts",
  ],
] as const;

describe.skipIf(!IS_ROOT)(`a file system that lacks something${NEEDS_ROOT}`, () => {
  test.for(LACKING)(
    "D20: %s is refused when a store is first opened, by the name of what is missing",
    async ([, command, missing]) => {
      await using disk = await mounted(command);
      const [root, runRoot] = [join(disk.path, "root"), join(disk.beside, "run")];
      for (const again of [1, 2]) {
        await expect(openStore({ root, runRoot }), `time ${again}`).rejects.toMatchObject({
          code: "ERR_STORE_INVALID_ROOT",
          message: expect.stringContaining(missing),
        });
      }
      expect(existsSync(join(root, "version.json"))).toBe(false);
      expect(readdirSync(join(root, "staging"))).toEqual([]);
    },
  );

  test("D20: one that a store lies on is tried out once, until the run root goes", async () => {
    await using disk = await mounted("mount -t tmpfs -o size=64m none $1");
    const [root, runRoot] = [join(disk.path, "root"), join(disk.beside, "run")];
    await (await openStore({ root, runRoot }))[Symbol.asyncDispose]();
    const full = join(root, "trash/filler");
    spawnSync("dd", ["if=/dev/zero", `of=${full}`, "bs=1M"]);
    await (await openStore({ root, runRoot }))[Symbol.asyncDispose]();
    const other = join(disk.beside, "other");
    await (await openStore({ root, runRoot: other }))[Symbol.asyncDispose]();
    expect(readdirSync(join(root, "staging"))).toEqual([]);
  });

  test("D15: attributes that it has no place for are left out, and the files are there", async () => {
    await using disk = await mounted("mount -t ramfs none $1");
    const blob = join(disk.beside, "blob");
    const pax = [
      ["SCHILY.xattr.user.note", "x"],
      ["SCHILY.xattr.security.capability", Buffer.from("0100000200200000".padEnd(40, "0"), "hex")],
    ] as const;
    const entries = [
      { name: "d", type: "5", pax },
      { name: "f", body: "content", pax },
    ];
    writeFileSync(blob, rawTar(...entries));
    const diffDir = join(disk.path, "diff");
    mkdirSync(diffDir);
    // It says that it has no room at all.
    await unpackLayer({ blob, diffDir, limits: { freeBytes: Infinity } });
    expect(readFileSync(join(diffDir, "f"), "utf8")).toBe("content");
    expect(readdirSync(diffDir).toSorted()).toEqual(["d", "f"]);
  });
});

/** Mounts what `$1` names, with `$2` beside it. */
async function mounted(
  command: string,
): Promise<AsyncDisposable & { readonly path: string; readonly beside: string }> {
  const folder = await tempDir();
  const [path, beside] = [join(folder.path, "disk"), join(folder.path, "beside")];
  mkdirSync(path);
  mkdirSync(beside);
  const { status, stderr } = spawnSync("sh", ["-ec", command, "sh", path, beside]);
  if (status !== 0) throw new Error(String(stderr));
  return {
    path,
    beside,
    async [Symbol.asyncDispose]() {
      spawnSync("umount", ["-l", path]);
      await folder[Symbol.asyncDispose]();
    },
  };
}
