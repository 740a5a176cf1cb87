/**
 * Measures what ranges over several connections bring: `pnpm test:ranges [--megabytes 200]
 * [--rate BYTES_PER_SECOND_OF_EACH_CONNECTION] [--rounds 5]`. First over a server that limits each
 * connection, then over the bare loopback, where they must cost nothing.
 */
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import { createRegistryClient } from "@stowage/registry";

import { blobScript, type BlobScriptOptions, tagOf } from "../support/blob-script.ts";
import { serve } from "../support/scripted-server.ts";

const { values } = parseArgs({
  options: {
    megabytes: { type: "string", default: "200" },
    rate: { type: "string", default: "8000000" },
    rounds: { type: "string", default: "5" },
  },
});
const blob = randomBytes(Number(values.megabytes) * 1_000_000);
const descriptor = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(blob), size: blob.length };
const etag = tagOf(blob);

const limited = { etag, bytesPerSecond: Number(values.rate) };
const seconds = { one: await time(1, limited), six: await time(6, limited) };
console.log(JSON.stringify({ server: "limits each connection", seconds }));
for (let round = 0; round < Number(values.rounds); round += 1) {
  const loopback = { one: await time(1, { etag }), six: await time(6, { etag }) };
  console.log(JSON.stringify({ server: "loopback", seconds: loopback }));
}

async function time(maxRangesPerBlob: number, options: BlobScriptOptions): Promise<number> {
  await using server = await serve(blobScript(blob, options));
  await using client = createRegistryClient({ plainHttp: true, maxRangesPerBlob });
  const repository = client.repository(parseRepository(`${server.host}/team/app`));
  const started = performance.now();
  for await (const _ of repository.openContent(descriptor));
  return Number(((performance.now() - started) / 1000).toFixed(2));
}
