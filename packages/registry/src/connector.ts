import type { Socket } from "node:net";

import type { buildConnector } from "undici";

type Wanted = buildConnector.Options;

/** A connector of undici's out of a function that opens a connection. */
export function connectorOf(open: (wanted: Wanted) => Promise<Socket>): buildConnector.connector {
  return (wanted, callback) => {
    const answer = async (): Promise<void> => {
      let socket: Socket;
      try {
        socket = await open(wanted);
      } catch (error) {
        return callback(error as Error, null);
      }
      return callback(null, socket);
    };
    void answer();
  };
}

/** Opens a connection with a connector of undici's. */
export async function connectWith(
  connect: buildConnector.connector,
  wanted: Wanted,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  connect(wanted, (...[error, socket]) => (error === null ? resolve(socket) : reject(error)));
  const socket = await promise;
  // A server that wants a client certificate says so after the handshake and closes. Without this,
  // its closing would be told in place of what it said.
  socket.once("error", () => socket.destroy());
  return socket;
}
