/** Takes a lock and keeps it until it is killed. */
import { acquireLock } from "../../src/store-lock.ts";

await acquireLock(process.argv[2] ?? "", "exclusive");
process.stdout.write("held\n");
setInterval(() => {}, 1000);
