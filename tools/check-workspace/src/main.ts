/** Holds the tree to the rules that no other tool knows; prints each breach and exits with 1. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

import { checkErrorCodes } from "./error-codes.ts";
import { checkFileNames } from "./file-names.ts";
import { checkManifest } from "./manifests.ts";
import { checkPublicSurface } from "./public-surface.ts";
import { checkSecretDoor } from "./secret-door.ts";
import { checkUntrustedNames } from "./untrusted-names.ts";
import { readPackage } from "./workspace-package.ts";

const root = join(import.meta.dirname, "../../..");
const breaches = readdirSync(join(root, "packages")).flatMap((folder) => {
  const subject = readPackage(join(root, "packages", folder));
  const checks = [
    checkManifest,
    checkErrorCodes,
    checkFileNames,
    checkPublicSurface,
    checkSecretDoor,
    checkUntrustedNames,
  ];
  return checks.flatMap((check) => check(subject).map((breach) => `packages/${folder}: ${breach}`));
});
for (const breach of breaches) process.stderr.write(`${breach}\n`);
process.exitCode = breaches.length === 0 ? 0 : 1;
