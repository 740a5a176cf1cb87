/** Feeds the readers random and damaged bytes for as long as it is told: `long:fuzz [SECONDS] [SEED]`. */
import { fuzzOnce } from "../support/fuzz-readers.ts";

const seconds = Number(process.argv[2] ?? 600);
const first = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 31));
const end = performance.now() + seconds * 1000;
let seed = first;
let breaches = 0;
process.stdout.write(`from seed ${first} on\n`);
for (; performance.now() < end; seed += 1) {
  const breach = await fuzzOnce(seed);
  if (breach === undefined) continue;
  breaches += 1;
  process.stdout.write(`${JSON.stringify(breach)}\n`);
}
process.stdout.write(`${seed - first} cases, ${breaches} breaches\n`);
process.exitCode = breaches === 0 ? 0 : 1;
