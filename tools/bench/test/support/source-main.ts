import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(import.meta.resolve("stowage")).replace(/index\.[jt]s$/, "main.ts");

/** Node's arguments for the command line, from its source. */
export const SOURCE_MAIN: readonly string[] = ["--conditions=@stowage/source", MAIN];
