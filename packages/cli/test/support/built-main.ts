import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";

import { bundleCli, CLI_PACKAGE } from "@stowage/cli-bundle";

// It finds packages from right below its own.
const folder = await mkdtemp(join(CLI_PACKAGE, "bin-"));
const remove = (): void => rmSync(folder, { recursive: true, force: true });
if (process.env["VITEST"] === undefined) {
  process.once("exit", remove);
} else {
  const { afterAll } = await import("vitest");
  afterAll(remove);
}
await bundleCli(folder);

/** The command line as npm delivers it, built anew; it goes when the tests of the file have ended. */
export const BUILT_MAIN: string = join(folder, "main.js");
