import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { layoutFolderDestination } from "@stowage/registry";
import { tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

test("a layout that another process keeps locked is given up in the end, and names who has it", async () => {
  await using folder = await tempDir();
  const lock = join(folder.path, ".index.json.lock");
  await writeFile(lock, `${process.pid}\n`);
  await using destination = layoutFolderDestination(folder.path, "it", { lockTimeout: 50 });
  await expect(destination.commit()).rejects.toMatchObject({
    code: "ERR_REGISTRY_BUSY",
    message: expect.stringContaining(String(process.pid)) as unknown,
  });
});
