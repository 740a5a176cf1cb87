import { buildImage, tempDir, writeOciLayout } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import {
  copyImage,
  imageFolderDestination,
  layoutFolderDestination,
  openLayoutFolder,
} from "@stowage/registry";

describe("a destination below a folder that takes no names", () => {
  test.for([
    ["a layout", layoutFolderDestination],
    ["an image folder", imageFolderDestination],
  ] as const)("fails by name: %s", async ([, open]) => {
    await using folder = await tempDir();
    await writeOciLayout(folder.path, { it: buildImage({ layers: [{ entries: [] }] }) });
    await using source = await openLayoutFolder(folder.path, "it");
    const copied = (async () => {
      await using destination = open("/proc/nowhere/below");
      await copyImage(source, destination);
    })();
    await expect(copied).rejects.toMatchObject({ code: "ERR_REGISTRY_FILE" });
  });
});
