import type { IncomingMessage } from "node:http";

// A client that sends a byte now and then would hold an upload and a connection for ever.
const LEAST_BYTES = 16 * 1024;

/** The body of a request; the connection is cut when too little of it comes within `milliseconds`. */
export async function* readSteadily(
  request: IncomingMessage,
  milliseconds: number,
): AsyncGenerator<Uint8Array> {
  let arrived = 0;
  const start = (): NodeJS.Timeout => setTimeout(() => request.destroy(), milliseconds).unref();
  let deadline = start();
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      arrived += chunk.byteLength;
      yield chunk;
      if (arrived < LEAST_BYTES) continue;
      arrived = 0;
      clearTimeout(deadline);
      deadline = start();
    }
  } finally {
    clearTimeout(deadline);
  }
}
