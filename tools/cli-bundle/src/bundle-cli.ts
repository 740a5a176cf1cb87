import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { build, type Plugin } from "rolldown";

import { httpClientPart } from "./http-client-part.ts";
import { formatLicences } from "./licences.ts";

const PACKAGES = join(import.meta.dirname, "../../../packages");

/** The folder of the package that the command line is part of. */
export const CLI_PACKAGE: string = join(PACKAGES, "cli");

// Each is joined by itself, so that it has no file in common with another: what starts first stands
// alone, and a thread reads one file. Threads find theirs beside the module that starts them.
const ENTRIES: Readonly<Record<string, string>> = {
  cli: "cli/src/cli.ts",
  main: "cli/src/main.ts",
  "compare-worker": "store/src/check/compare-worker.ts",
  "digest-worker": "store/src/digest-worker.ts",
  "unpack-worker": "store/src/layer/unpack-worker.ts",
};

// What nearly every command reads, in one file.
const COMMON = {
  name: "common",
  test: /[/\\]packages[/\\](?:cli|content|reference)[/\\]src[/\\]|[/\\]node_modules[/\\]/u,
  minShareCount: 3,
};

// A native module, and one whose licence wants it to be exchangeable.
const KEPT_APART = ["koffi", "openpgp"];

// Both for the shell, which starts Node with a flag that the first line cannot carry everywhere, and
// for Node, to which the second is a text and a comment. Young objects get 1 MiB, by the flag alone:
// with the default, buffers of the network lie about unused until 16 MiB of objects have been made.
const LAUNCHER = `#!/usr/bin/env sh
":" //; exec node --max-semi-space-size=1 "$0" "$@"
`;

// `main.ts` finds it beside itself, where `cli.ts` has been joined.
const COMMANDS_APART: Plugin = {
  name: "commands-apart",
  resolveId: (source) => (source === "./cli.ts" ? { id: "./cli.js", external: true } : null),
};

/**
 * Joins the command line, all that it uses and its worker threads into a few files in a folder, which
 * has to be right below the package's own: Node takes a third of a millisecond to find and read each
 * of 400 modules. What only some commands need is in files of its own; what is read before it is
 * known which command it is, stands in one file that waits for no other.
 */
export async function bundleCli(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const modules: string[] = [];
  for (const [name, path] of Object.entries(ENTRIES)) {
    modules.push(...(await joinModules(folder, name, join(PACKAGES, path))));
  }
  await writeFile(join(folder, "THIRD-PARTY-LICENCES.txt"), await formatLicences(modules));
  const main = join(folder, "main.js");
  const code = await readFile(main, "utf8");
  await writeFile(
    main,
    code.replace(/^#!.*\n/u, () => LAUNCHER),
  );
  await chmod(main, 0o755);
}

/** @returns the modules that the files were made from. */
async function joinModules(folder: string, name: string, path: string): Promise<readonly string[]> {
  const { output } = await build({
    input: { [name]: path },
    platform: "node",
    external: [/^node:/, ...KEPT_APART],
    plugins: [COMMANDS_APART, httpClientPart(PACKAGES)],
    // As the packages are compiled: the oldest Node that may run it knows no newer syntax.
    transform: { target: "es2024" },
    resolve: { conditionNames: ["@stowage/source", "import", "node", "default"] },
    logLevel: "warn",
    output: {
      dir: folder,
      format: "esm",
      entryFileNames: "[name].js",
      chunkFileNames: "[name]-[hash].js",
      codeSplitting: { groups: [COMMON] },
    },
  });
  return output.flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
}
