/** Takes a lock, `shared` or not, and keeps it until it is killed. */
import { acquireLock } from "../../src/store-lock.ts";

await acquireLock(process.argv[2] ?? "", process.argv[3] === "shared" ? "shared" : "exclusive");
process.stdout.write("held\n");
setInterval(() => {}, 1000);
