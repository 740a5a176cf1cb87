import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** What the checks look at, read once. */
export interface WorkspacePackage {
  /** The folder's name. */
  readonly name: string;
  readonly manifest: PackageManifest;
  readonly references: readonly string[];
  readonly readme: string;
  /** Path below the package → text. */
  readonly sources: ReadonlyMap<string, string>;
  readonly tests: ReadonlyMap<string, string>;
}

export interface PackageManifest {
  readonly name: string;
  readonly type?: string;
  readonly license?: string;
  readonly sideEffects?: boolean;
  readonly engines?: { readonly node?: string };
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

export function readPackage(folder: string): WorkspacePackage {
  const text = (path: string) => readFileSync(join(folder, path), "utf8");
  const tsconfig = JSON.parse(text("tsconfig.json")) as { references?: { path: string }[] };
  return {
    name: basename(folder),
    manifest: JSON.parse(text("package.json")) as PackageManifest,
    references: (tsconfig.references ?? []).map(({ path }) => basename(path)),
    readme: existsSync(join(folder, "README.md")) ? text("README.md") : "",
    sources: readTree(folder, "src"),
    tests: readTree(folder, "test"),
  };
}

function readTree(folder: string, below: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const path of readdirSync(join(folder, below), { recursive: true, encoding: "utf8" })) {
    if (path.endsWith(".ts")) {
      found.set(join(below, path), readFileSync(join(folder, below, path), "utf8"));
    }
  }
  return found;
}
