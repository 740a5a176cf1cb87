/**
 * Compares the unpacker with GNU tar and Python's tarfile on as many archives as are asked for:
 * `long:difference [ARCHIVES] [SEED]`.
 */
import { compareReaders } from "../support/compare-readers.ts";

const BATCH = 1000;
const archives = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 31));
const wanted = new Map<string, number>();
let [alike, refusedByAll, unwanted] = [0, 0, 0];

process.stdout.write(`${archives} archives from seed ${seed} on\n`);
for (let done = 0; done < archives; done += BATCH) {
  const batch = await compareReaders(seed + done, Math.min(BATCH, archives - done));
  alike += batch.alike;
  refusedByAll += batch.refusedByAll;
  unwanted += batch.unwanted.length;
  for (const [name, count] of batch.wanted) wanted.set(name, (wanted.get(name) ?? 0) + count);
  for (const difference of batch.unwanted) process.stdout.write(`${difference}\n`);
}
process.stdout.write(`${alike} alike, ${refusedByAll} refused by all\n`);
for (const [name, count] of wanted) process.stdout.write(`${count} × ${name}\n`);
process.stdout.write(`${unwanted} differences that are not wanted\n`);
process.exitCode = unwanted === 0 ? 0 : 1;
