import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The licences of the packages that modules are from, each behind its package's name and version. */
export async function formatLicences(modules: readonly string[]): Promise<string> {
  const folders = new Set(modules.flatMap((path) => packageFolder(path) ?? []));
  const texts = await Promise.all([...folders].toSorted().map(formatLicence));
  return texts.join("\n");
}

/** The folder of the package that installed a module; none for a module of the workspace. */
function packageFolder(path: string): string | undefined {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/u.exec(path)?.[0];
}

async function formatLicence(folder: string): Promise<string> {
  const { name, version, license } = JSON.parse(
    await readFile(join(folder, "package.json"), "utf8"),
  ) as { readonly name: string; readonly version: string; readonly license: string };
  const files = (await readdir(folder)).filter((file) => /^licen[cs]e|^notice/iu.test(file));
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  const heading = `${name} ${version} (${license})\n`;
  if (texts.length > 0) return `${heading}\n${texts.join("\n")}`;
  // The project's own, which lies beside this in the package.
  if (license === "Apache-2.0") return `${heading}\nThe text is that of LICENSE.\n`;
  throw new Error(`${name} ${version} (${license}) brings no licence along`);
}
