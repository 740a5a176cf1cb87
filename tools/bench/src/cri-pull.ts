import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { requirePeer } from "@stowage/testkit";

import type { BenchCommand } from "./measure-process.ts";

const METHOD = "http://localhost/runtime.v1.ImageService/PullImage";

/** One call by `curl`; the outcome of a call is in its trailers. */
const CALL = [
  '"$0" -sS --http2-prior-knowledge --unix-socket "$1" -H "content-type: application/grpc"',
  '-H "te: trailers" --data-binary "@$2" -D "$2.answer" -o /dev/null "$3"',
  '&& { grep -qi "^grpc-status: 0" "$2.answer" || { cat "$2.answer" >&2; exit 1; }; }',
].join(" ");

/**
 * A pull as the kubelet asks for it.
 *
 * @param folder - For the request and the answer.
 * @see https://github.com/kubernetes/cri-api, `PullImageRequest`
 */
export function criPull(socket: string, reference: string, folder: string): BenchCommand {
  const request = join(folder, "request");
  writeFileSync(request, requestFor(reference));
  const words = [requirePeer("curl"), socket, request, METHOD];
  return { program: "sh", args: ["-c", CALL, ...words] };
}

/** A gRPC message: not compressed, its length, and the image's specification with its name. */
function requestFor(reference: string): Buffer {
  const message = fieldOne(fieldOne(Buffer.from(reference)));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Field 1 of a protobuf message, shorter than the 128 bytes that a one-byte length can say. */
function fieldOne(value: Buffer): Buffer {
  if (value.length > 127) throw new Error(`${value.length} bytes are too long for a short field`);
  return Buffer.concat([Buffer.of(0x0a, value.length), value]);
}
