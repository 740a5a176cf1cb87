import { execFileSync } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { resolveUser } from "@stowage/runtime-shim";
import { describe, expect, test } from "vitest";

import { createScratch } from "./support/host-root.ts";

const PASSWD =
  "root:x:0:0::/:/bin/sh\nwww:x:33:34::/srv:\n7up:x:8:8::/:\nbad:x:-1:0\nhuge:x:4294967295:0\n";
const GROUP = "root:x:0:\nwww:x:34:\nadm:x:4:root,www\ntape:x:26:www\nbig:x:4294967296:www\n";

describe("resolveUser", () => {
  test.for([
    ["", 0, 0, [0, 4]],
    ["root", 0, 0, [0, 4]],
    ["0", 0, 0, [0, 4]],
    ["www", 33, 34, [34, 4, 26]],
    ["33", 33, 34, [34, 4, 26]],
    ["www:adm", 33, 4, [4]],
    ["www:0", 33, 0, [0]],
    ["007", 7, 0, [0]],
    ["1000", 1000, 0, [0]],
    ["1000:1001", 1000, 1001, [1001]],
    ["2147483648:4294967294", 2_147_483_648, 4_294_967_294, [4_294_967_294]],
  ] as const)("M27 V69: takes %j for user %d and group %d", async ([text, uid, gid, groups]) => {
    await using root = await createRoot({ passwd: PASSWD, group: GROUP });
    await expect(resolveUser(root.path, text)).resolves.toEqual({
      uid,
      gid,
      additionalGids: groups,
    });
  });

  test.for(["nobody", "www:none", "bad", "huge"])("M27: does not make up user %j", async (text) => {
    await using root = await createRoot({ passwd: PASSWD, group: GROUP });
    await expect(resolveUser(root.path, text)).rejects.toMatchObject({
      code: "ERR_RUNTIME_USER_NOT_FOUND",
    });
  });

  test("needs no files for numbers", async () => {
    await using root = await createScratch();
    await expect(resolveUser(root.path, "5:6")).resolves.toMatchObject({ uid: 5, gid: 6 });
    await expect(resolveUser(root.path, "5")).resolves.toMatchObject({ uid: 5, gid: 0 });
  });

  test("V29: follows links of the image inside its root only", async () => {
    await using root = await createScratch();
    await mkdir(join(root.path, "nix"));
    await mkdir(join(root.path, "etc"));
    await writeFile(join(root.path, "nix/passwd"), "me:x:77:78::/:\n");
    await symlink("/../../../nix/passwd", join(root.path, "etc/passwd"));
    await expect(resolveUser(root.path, "me")).resolves.toMatchObject({ uid: 77, gid: 78 });
  });

  test.for([
    ["a FIFO", (path: string) => execFileSync("mkfifo", [path])],
    ["a directory", (path: string) => mkdir(path)],
    ["a link to itself", (path: string) => symlink("passwd", path)],
    ["longer than 1 MiB", (path: string) => writeFile(path, "#".repeat(1024 * 1024 + 1))],
  ] as const)("V29: refuses an /etc/passwd that is %s", async ([, make]) => {
    await using root = await createScratch();
    await mkdir(join(root.path, "etc"));
    await make(join(root.path, "etc/passwd"));
    await expect(resolveUser(root.path, "me")).rejects.toMatchObject({
      code: "ERR_RUNTIME_UNSAFE_ROOT",
    });
  });
});

async function createRoot(files: { readonly passwd: string; readonly group: string }) {
  const root = await createScratch();
  await mkdir(join(root.path, "etc"));
  await writeFile(join(root.path, "etc/passwd"), files.passwd);
  await writeFile(join(root.path, "etc/group"), files.group);
  return root;
}
