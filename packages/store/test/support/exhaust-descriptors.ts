/** Opens a store when no descriptor is left, and says what the error is. */
import { openSync, writeSync } from "node:fs";

import { hasErrorCode } from "@stowage/content";
import { openStore } from "@stowage/store";

const [root = "", runRoot = ""] = process.argv.slice(2);
// What is loaded when it is first needed has to be there before.
await (await openStore({ root, runRoot }))[Symbol.asyncDispose]();
try {
  for (;;) openSync("/dev/null", "r");
} catch (error) {
  if (!hasErrorCode(error, "EMFILE")) throw error;
}
try {
  await openStore({ root, runRoot });
} catch (error) {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  writeSync(1, code);
}
