import { fileURLToPath } from "node:url";

import type { ProgramWords } from "../../src/measure-process.ts";

const MAIN = fileURLToPath(import.meta.resolve("stowage")).replace(/index\.[jt]s$/, "main.ts");

/** The command line, from its source. */
export const SOURCE_MAIN: ProgramWords = [process.execPath, "--conditions=@stowage/source", MAIN];
