import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";

import { startCountingProxy } from "@stowage/testkit";
import { expect, test } from "vitest";

test("a counting proxy passes bytes on, counts them exactly, and keeps its pace", async () => {
  const server = createServer((socket) => socket.end(Buffer.alloc(100_000))).listen(0, "127.0.0.1");
  await once(server, "listening");
  const totals: number[] = [];
  {
    await using proxy = await startCountingProxy({
      target: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      linkRate: 500_000,
      onBytes: (total) => totals.push(total),
    });
    const started = performance.now();
    const bodies = await Promise.all([1, 2].map(() => receive(proxy.host)));
    expect(bodies).toEqual([100_000, 100_000]);
    expect([proxy.bytes, totals.at(-1), proxy.mostConnections]).toEqual([200_000, 200_000, 2]);
    expect(performance.now() - started).toBeGreaterThan(250);
  }
  server.close();
});

async function receive(host: string): Promise<number> {
  const [address = "", port = ""] = host.split(":");
  const socket = connect(Number(port), address);
  return (await socket.toArray()).reduce((sum: number, chunk: Buffer) => sum + chunk.length, 0);
}
