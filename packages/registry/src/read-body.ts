import { RegistryError } from "./registry-error.ts";
import { redactUrl } from "./redact.ts";
import type { TransportRequest, TransportResponse } from "./transport.ts";

/**
 * Reads a whole body into memory.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_TOO_LARGE` at the announcement of more than
 *   `maxBytes`, or at the first byte too many.
 */
export async function readBody(
  request: TransportRequest,
  response: TransportResponse,
  maxBytes: number,
): Promise<Uint8Array> {
  const announced = Number(response.headers["content-length"] ?? 0);
  if (announced > maxBytes) {
    response.cancel();
    throw tooLarge(request, maxBytes);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(request, maxBytes);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/** Reads what there is of a body, up to `maxBytes`, and never fails but by cancellation. */
export async function readPrefix(
  response: TransportResponse,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response.body) {
      chunks.push(chunk.subarray(0, maxBytes - length));
      length += chunk.byteLength;
      if (length >= maxBytes) break;
    }
  } catch {
    signal?.throwIfAborted();
  }
  return Buffer.concat(chunks);
}

function tooLarge(request: TransportRequest, maxBytes: number): RegistryError {
  const { method } = request;
  const url = redactUrl(request.url);
  return new RegistryError("ERR_REGISTRY_TOO_LARGE", `${method} ${url}: over ${maxBytes} bytes`, {
    method,
    url,
  });
}
