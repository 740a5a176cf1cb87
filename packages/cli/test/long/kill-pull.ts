/**
 * The long form of the kill-proof test: `pnpm test:kill [--seed TEXT] [--megabytes 500] [--kills 20]
 * [--link BYTES_PER_SECOND] [--restart]`. `--link 0` is as fast as the loopback goes: what a killed
 * process had not read yet is then mostly what lay in the kernel's buffers.
 */
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";

import { runKillRounds } from "../support/kill-rounds.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: randomBytes(4).toString("hex") },
    megabytes: { type: "string", default: "500" },
    kills: { type: "string", default: "20" },
    link: { type: "string", default: "10000000" },
    restart: { type: "boolean", default: false },
  },
});
const MOST = 1.1;
// One large layer, some of middling size, small ones: as images are.
const SHARES = [0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02];
const megabytes = Number(values.megabytes);
const started = performance.now();
const { seed, restart } = values;
const rounds = await runKillRounds({
  seed,
  layers: SHARES.map((share) => Math.round(share * megabytes * 1_000_000)),
  kills: Number(values.kills),
  restartRegistry: restart,
  linkRate: Number(values.link) || undefined,
});
const ratio = rounds.transferred / rounds.size;
const seconds = Math.round((performance.now() - started) / 1000);
console.log(JSON.stringify({ seed, restart, ...rounds, ratio: Number(ratio.toFixed(4)), seconds }));
const isGood = ratio <= MOST && rounds.sound && rounds.canonical === rounds.expected;
if (!isGood || rounds.killed < Number(values.kills)) process.exitCode = 1;
