import { describe, expect, test } from "vitest";

import { checkErrorCodes } from "../src/error-codes.ts";
import { checkFileNames } from "../src/file-names.ts";
import { checkManifest } from "../src/manifests.ts";
import { checkPublicSurface } from "../src/public-surface.ts";
import { checkSecretDoor } from "../src/secret-door.ts";
import { checkUntrustedNames } from "../src/untrusted-names.ts";
import type { WorkspacePackage } from "../src/workspace-package.ts";

const GOOD: WorkspacePackage = {
  name: "reference",
  manifest: {
    name: "@stowage/reference",
    type: "module",
    license: "Apache-2.0",
    sideEffects: false,
    engines: { node: "^22.22.2 || ^24.15.0 || >=26.0.0" },
    exports: { ".": {}, "./package.json": "./package.json" },
    scripts: { build: "", check: "", test: "", typecheck: "" },
    dependencies: { "@stowage/content": "workspace:^" },
  },
  references: ["content"],
  readme: "# x\n\n## Install\n\n## Use\n\n## Errors\n\nERR_REFERENCE_INVALID\n\n## Boundaries\n",
  sources: new Map([
    ["src/index.ts", "export { a } from './a.ts';"],
    ["src/reference-error.ts", '"ERR_REFERENCE_INVALID"'],
  ]),
  tests: new Map([["test/a.test.ts", '"ERR_REFERENCE_INVALID"']]),
};

test("nothing is said of a package that keeps the rules", () => {
  for (const check of [checkManifest, checkErrorCodes, checkFileNames, checkPublicSurface]) {
    expect(check(GOOD)).toEqual([]);
  }
});

describe("breaches", () => {
  test("a library that nobody promised", () => {
    const dependencies = { ...GOOD.manifest.dependencies, lodash: "4" };
    expect(checkManifest({ ...GOOD, manifest: { ...GOOD.manifest, dependencies } })).toHaveLength(
      1,
    );
  });

  test("a sibling that it may not know", () => {
    const dependencies = { ...GOOD.manifest.dependencies, "@stowage/store": "workspace:^" };
    const manifest = { ...GOOD.manifest, dependencies };
    expect(checkManifest({ ...GOOD, manifest, references: ["content", "store"] })).toHaveLength(1);
  });

  test("references that are not the dependencies", () => {
    expect(checkManifest({ ...GOOD, references: ["store"] })).toHaveLength(1);
  });

  test("a code that neither README nor tests know", () => {
    expect(checkErrorCodes({ ...GOOD, readme: "", tests: new Map() })).toHaveLength(2);
  });

  test("a file without a concept", () => {
    const sources = new Map([
      ["src/utils.ts", ""],
      ["src/camelCase.ts", ""],
    ]);
    expect(checkFileNames({ ...GOOD, sources })).toHaveLength(2);
  });

  test.for([
    ["src/tags.ts", 'import { revealSecret } from "./auth/secret.ts";', 1],
    ["src/auth/token.ts", "const text = revealSecret(token);", 1],
    ["src/auth/auth-gate.ts", "revealSecret(secret)", 0],
    ["src/transport.ts", "return { ...headers, authorization };", 1],
    ["src/transport.ts", 'headers["authorization"] = header;', 1],
    ["src/transport.ts", "headers: { Authorization: header }", 1],
    ["src/auth/auth-gate.ts", "return { ...headers, authorization };", 0],
    ["src/transport.ts", "// authorization: a comment may say so", 0],
    ["src/transport-auth.ts", "const authorization = await session.current(scope);", 0],
    ["src/tags.ts", "send(options.credentials.password)", 1],
    ["src/auth/auth-file.ts", "send(credentials.identityToken)", 0],
  ] as const)("a way around the door for secrets: %s with %s", ([path, text, count]) => {
    const sources = new Map([[path, text]]);
    expect(checkSecretDoor({ ...GOOD, name: "registry", sources })).toHaveLength(count);
    expect(checkSecretDoor({ ...GOOD, name: "store", sources })).toEqual([]);
  });

  test("a barrel, and a README without its rooms", () => {
    const sources = new Map([["src/index.ts", "export * from './a.ts';"]]);
    expect(checkPublicSurface({ ...GOOD, sources, readme: "" })).toHaveLength(5);
  });
});

describe("names out of an image", () => {
  const store = (path: string, text: string): WorkspacePackage => ({
    ...GOOD,
    name: "store",
    sources: new Map([[path, text]]),
  });

  test.for([
    ["src/layer/a.ts", 'import { writeSync, mkdirSync } from "node:fs";'],
    ["src/layer/a.ts", 'import { join } from "node:path";'],
    ["src/layer/a.ts", 'import * as fs from "node:fs/promises";'],
    ["src/layer/decode-blob.ts", 'import {\n  closeSync,\n  rmSync,\n} from "node:fs";'],
    ["src/a.ts", 'import { type LockMode, tryOpenAt } from "./linux/file-calls.ts";'],
    ["src/a.ts", "join(layers.diffPath(id), name)"],
    ["src/a.ts", "join(mountPoint, name)"],
    ["src/a.ts", 'readdirSync(path, { encoding: "buffer" })'],
    ["src/a.ts", "path.startsWith(root)"],
    ["src/linux/a.ts", "target.startsWith(`${path}/`)"],
    ["src/layer/a.ts", "target.startsWith(this.rootPath)"],
  ] as const)("in %s, %j is a breach", ([path, text]) => {
    expect(checkUntrustedNames(store(path, text))).toHaveLength(1);
  });

  test.for([
    ["src/layer/a.ts", 'import { closeSync, writeSync } from "node:fs";'],
    ["src/layer/decode-blob.ts", 'import { openSync } from "node:fs";'],
    [
      "src/a.ts",
      'import { renameNoReplace } from "./linux/file-calls.ts";\njoin(staging.path, "diff")',
    ],
    ["src/a.ts", 'key.startsWith("..")'],
  ] as const)("in %s, %j is none", ([path, text]) => {
    expect(checkUntrustedNames(store(path, text))).toEqual([]);
  });
});
