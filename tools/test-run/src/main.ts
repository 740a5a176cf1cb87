/**
 * Runs the tests of every package and adds up what they came to.
 *
 * The peers that tests are held against are installed first where that is possible (root, apt);
 * elsewhere the tests that need them are skipped by name and counted.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";

import { ensurePeers } from "@stowage/testkit";

import { addTallies, formatTally } from "./tally.ts";

const missing = await ensurePeers();
if (missing.length > 0) {
  process.stdout.write(`Not installed, so their tests are skipped: ${missing.join(", ")}\n`);
}
const turbo = spawn(
  "turbo",
  [
    "run",
    "test",
    "--concurrency=2",
    "--log-prefix=none",
    "--output-logs=full",
    "--continue",
    ...process.argv.slice(2),
  ],
  {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NO_COLOR: "1", TURBO_TELEMETRY_DISABLED: "1" },
  },
);
let output = "";
turbo.stdout.setEncoding("utf8");
turbo.stdout.on("data", (text: string) => {
  output += text;
  process.stdout.write(text);
});
const [code] = (await once(turbo, "close")) as [number | null];
const tally = addTallies(output);
process.stdout.write(`\n${formatTally(tally)}\n`);
process.exitCode = code === 0 && tally.failed === 0 && tally.passed > 0 ? 0 : 1;
