/** `pnpm soak [MINUTES] [SEED]`: the long form; ends with 1 unless the store came through it whole. */
import { runSoak } from "./soak.ts";

const MINUTE_MS = 60_000;
const [minutes = "10", seed = String(Date.now() % 1_000_000)] = process.argv.slice(2);
process.stdout.write(`seed ${seed}\n`);
const report = await runSoak({
  processes: 8,
  orders: Infinity,
  durationMs: Number(minutes) * MINUTE_MS,
  killOneOf: 50,
  images: 20,
  seed: Number(seed),
});
process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
const { failures, lost, damages, leftovers } = report;
if (failures.length + lost.length + damages.length + leftovers.length > 0) process.exitCode = 1;
