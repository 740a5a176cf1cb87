/**
 * Holds the lock that is named, and says so, until its input ends.
 *
 * @module
 */
import { acquireFileLock } from "../../src/file-lock.ts";

await using _lock = await acquireFileLock(process.argv[2] ?? "");
process.stdout.write("held\n");
process.stdin.resume();
await new Promise((resolve) => process.stdin.once("end", resolve));
