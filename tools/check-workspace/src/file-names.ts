import { basename } from "node:path";

import type { WorkspacePackage } from "./workspace-package.ts";

const BANNED = new Set(["common", "helpers", "misc", "types", "util", "utils"]);
const KEBAB = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;

/** That files are named for the concept they hold. */
export function checkFileNames({ sources }: WorkspacePackage): string[] {
  return [...sources.keys()].flatMap((path) => {
    const name = basename(path, ".ts");
    if (BANNED.has(name)) return [`${path}: name the concept that it holds`];
    return KEBAB.test(name) ? [] : [`${path}: not in kebab-case`];
  });
}
