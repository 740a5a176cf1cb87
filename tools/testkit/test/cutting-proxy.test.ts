import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";

import { hasPeer, startCuttingProxy } from "@stowage/testkit";
import { expect, test } from "vitest";

test.skipIf(!hasPeer("nginx"))(
  "a cut ends what is under way, and the next request is answered",
  async () => {
    const server = createServer((request, response) => {
      if (request.url === "/whole") return void response.end("whole");
      response.writeHead(200, { "content-length": 100 }).write("half");
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await using proxy = await startCuttingProxy(`127.0.0.1:${port}`);
    const [, proxyPort] = proxy.host.split(":");
    const socket = connect(Number(proxyPort), "127.0.0.1");
    let received = "";
    socket.setEncoding("utf8").on("data", (text: string) => (received += text));
    socket.write(`GET /half HTTP/1.1\r\nhost: ${proxy.host}\r\n\r\n`);
    await expect.poll(() => received).toContain("half");
    const closed = once(socket, "close");
    await proxy.cut();
    await closed;
    expect(await (await fetch(`http://${proxy.host}/whole`)).text()).toBe("whole");
    server.close();
    server.closeAllConnections();
  },
);
