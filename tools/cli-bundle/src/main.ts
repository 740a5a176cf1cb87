/** Writes `packages/cli/bin`: the command line as npm delivers it. */
import { join } from "node:path";

import { bundleCli, CLI_PACKAGE } from "./bundle-cli.ts";

await bundleCli(join(CLI_PACKAGE, "bin"));
