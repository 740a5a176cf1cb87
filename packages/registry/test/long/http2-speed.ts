/** Times blobs of a docker-registry over TLS, in HTTP/1.1 and in HTTP/2: MiB, blobs, rounds. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { argv, cpuUsage, stdout } from "node:process";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import { createRegistryClient } from "@stowage/registry";
import { makeCertificates, startDockerRegistry, tempDir } from "@stowage/testkit";

const [mebibytes = 200, count = 1, rounds = 5] = argv.slice(2).map(Number);
const size = Math.floor((mebibytes * 1024 * 1024) / count);
const CHUNK = 64 * 1024;

await using folder = await tempDir();
const { authority, server } = await makeCertificates(folder.path);
await using registry = await startDockerRegistry({ tls: server });
const tls = { ca: [readFileSync(authority, "utf8")] };
const name = parseRepository(`${registry.host}/team/app`);
const descriptors = [];
{
  await using client = createRegistryClient({ tls });
  for (let at = 0; at < count; at += 1) {
    const bytes = randomBytes(size);
    const descriptor = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size };
    const openContent = async function* () {
      for (let from = 0; from < size; from += CHUNK) yield bytes.subarray(from, from + CHUNK);
    };
    await client.repository(name).pushBlob(descriptor, { openContent });
    descriptors.push(descriptor);
  }
}
const spent = new Map<boolean, { wall: number[]; cpu: number[] }>([
  [false, { wall: [], cpu: [] }],
  [true, { wall: [], cpu: [] }],
]);
for (let round = 0; round < rounds * 2; round += 1) {
  // Pairs, whose order changes, so that what else the machine does is shared.
  const http2 = round % 4 === 1 || round % 4 === 2;
  await using client = createRegistryClient({ tls, http2, maxRangesPerBlob: 1 });
  const repository = client.repository(name);
  const [started, before] = [performance.now(), cpuUsage()];
  await Promise.all(
    descriptors.map(async (descriptor) => {
      for await (const chunk of repository.openContent(descriptor)) void chunk;
    }),
  );
  const { user, system } = cpuUsage(before);
  spent.get(http2)?.wall.push(performance.now() - started);
  spent.get(http2)?.cpu.push((user + system) / 1000);
}
for (const [http2, { wall, cpu }] of spent) {
  const [elapsed, used] = [wall, cpu].map((all) => Math.round(medianOf(all)));
  stdout.write(`HTTP/${http2 ? "2" : "1.1"}: median ${elapsed} ms, ${used} ms of CPU\n`);
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
