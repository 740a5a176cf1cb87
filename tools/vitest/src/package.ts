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
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ["default", new TallyReporter()],
  },
});
