/**
 * Writes `api/<package>.api.md`, the public surface of a package as a reviewer reads it; with
 * `--check` fails where the committed report is another one.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

import { Extractor, ExtractorConfig, ExtractorLogLevel } from "@microsoft/api-extractor";

const folder = process.cwd();
const check = process.argv.includes("--check");
const name = basename(folder);

mkdirSync(join(folder, "api"), { recursive: true });
const config = ExtractorConfig.prepare({
  packageJsonFullPath: join(folder, "package.json"),
  configObjectFullPath: undefined,
  configObject: {
    projectFolder: folder,
    mainEntryPointFilePath: join(folder, "dist/index.d.ts"),
    compiler: { overrideTsconfig: overriddenTsconfig() },
    apiReport: {
      enabled: true,
      reportFileName: `${name}.api.md`,
      reportFolder: join(folder, "api"),
      reportTempFolder: join(folder, "node_modules/.api-report"),
    },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
    newlineKind: "lf",
    messages: {
      extractorMessageReporting: {
        default: { logLevel: ExtractorLogLevel.Warning },
        "ae-missing-release-tag": { logLevel: ExtractorLogLevel.None },
        "ae-unresolved-link": { logLevel: ExtractorLogLevel.None },
        "ae-undocumented": { logLevel: ExtractorLogLevel.None },
      },
      tsdocMessageReporting: {
        default: { logLevel: ExtractorLogLevel.Warning },
        "tsdoc-undefined-tag": { logLevel: ExtractorLogLevel.None },
      },
    },
  },
});

const result = Extractor.invoke(config, {
  localBuild: !check,
  showVerboseMessages: false,
  messageCallback(message) {
    // The extractor's compiler is older than the workspace's; saying so on each run helps nobody.
    if (message.messageId === "console-compiler-version-notice") message.handled = true;
    if (message.messageId === "console-preamble") message.handled = true;
  },
});
if (!result.succeeded) {
  process.stderr.write(
    check && result.apiReportChanged
      ? `${name}: the public API is not what api/${name}.api.md says; run "pnpm api" and review it\n`
      : `${name}: ${result.errorCount} errors, ${result.warningCount} warnings\n`,
  );
  process.exitCode = 1;
}

/** The package's own options, less those that the extractor's compiler does not know. */
function overriddenTsconfig(): object {
  const base = JSON.parse(readFileSync(join(folder, "../../tsconfig.base.json"), "utf8")) as {
    compilerOptions: Record<string, unknown>;
  };
  const {
    composite: _,
    rewriteRelativeImportExtensions: __,
    ...compilerOptions
  } = base.compilerOptions;
  return {
    compilerOptions: { ...compilerOptions, skipLibCheck: true },
    files: ["dist/index.d.ts"],
  };
}
