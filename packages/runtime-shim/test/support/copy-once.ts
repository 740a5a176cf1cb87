import { copyBetween, parseCopyLocation } from "@stowage/runtime-shim";

/** `copy-once.ts OPTIONS FROM TO`: what `stowage copy` does, in a process of its own. */
const [options = "{}", from = "", to = ""] = process.argv.slice(2);
await copyBetween(parseCopyLocation(from), parseCopyLocation(to), JSON.parse(options));
