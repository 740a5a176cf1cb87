import { once } from "node:events";
import type { Server } from "node:http";
import type { Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";

/** A server on this machine alone; disposing of it ends what it is in the middle of, too. */
export interface LocalServer extends AsyncDisposable {
  readonly port: number;
}

/** Has a server listen on the loopback, at a port that nobody has. */
export async function listenLocally(server: Server | TlsServer): Promise<LocalServer> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
