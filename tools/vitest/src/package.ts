import { delimiter } from "node:path";

import { defineConfig } from "vitest/config";

import { TallyReporter } from "./tally-reporter.ts";

/** How every package of the workspace is tested: from source, by its own name. */
export default defineConfig({
  resolve: { conditions: ["@stowage/source"] },
  ssr: { resolve: { conditions: ["@stowage/source"], externalConditions: ["@stowage/source"] } },
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    execArgv: ["--conditions=@stowage/source"],
    // Some peers are where only root's PATH leads, and not even that everywhere.
    env: { PATH: [process.env["PATH"], "/usr/sbin", "/sbin"].filter(Boolean).join(delimiter) },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ["default", new TallyReporter()],
  },
});
