import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { build } from "rolldown";

import { formatLicences } from "./licences.ts";

const PACKAGES = join(import.meta.dirname, "../../../packages");

/** The folder of the package that the command line is part of. */
export const CLI_PACKAGE: string = join(PACKAGES, "cli");

// Threads find their scripts beside the module that starts them.
const WORKERS: Readonly<Record<string, string>> = {
  "apply-worker": "store/src/layer/apply-worker.ts",
  "compare-worker": "store/src/check/compare-worker.ts",
  "decode-worker": "store/src/layer/decode-worker.ts",
  "digest-worker": "store/src/digest-worker.ts",
};

// A native module, and one whose licence wants it to be exchangeable.
const KEPT_APART = ["koffi", "openpgp"];

/**
 * Joins the command line, all that it uses and its worker threads into a few files in a folder, which
 * has to be right below the package's own: Node takes a third of a millisecond to find and read each
 * of 400 modules. What only some commands need is in files of its own.
 */
export async function bundleCli(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const workers = Object.entries(WORKERS).map(([name, path]) => [name, join(PACKAGES, path)]);
  const { output } = await build({
    input: { main: join(CLI_PACKAGE, "src/main.ts"), ...Object.fromEntries(workers) },
    platform: "node",
    external: [/^node:/, ...KEPT_APART],
    // As the packages are compiled: the oldest Node that may run it knows no newer syntax.
    transform: { target: "es2024" },
    resolve: { conditionNames: ["@stowage/source", "import", "node", "default"] },
    logLevel: "warn",
    output: {
      dir: folder,
      format: "esm",
      entryFileNames: "[name].js",
      chunkFileNames: "[name]-[hash].js",
    },
  });
  const modules = output.flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
  await writeFile(join(folder, "THIRD-PARTY-LICENCES.txt"), await formatLicences(modules));
  await chmod(join(folder, "main.js"), 0o755);
}
