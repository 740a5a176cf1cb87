import { MEDIA_TYPE } from "@stowage/content";
import type { RecordedRequest, ScriptedAnswer } from "@stowage/testkit";

import type { TestImage } from "./images.ts";

/** What a good registry with this image says. */
export function goodAnswer(
  { manifest, blobs }: TestImage,
  { path, headers }: Pick<RecordedRequest, "headers" | "path">,
): ScriptedAnswer & { readonly body?: Uint8Array | string } {
  if (/\/manifests\//u.test(path)) {
    return { headers: { "content-type": MEDIA_TYPE.imageManifest }, body: manifest };
  }
  if (/\/tags\/list/u.test(path)) return { body: '{"tags":["latest"]}' };
  const blob = blobs.find(({ descriptor }) => path.includes(descriptor.digest));
  if (blob === undefined) return { status: 404 };
  const first = Number(/^bytes=(\d+)-$/u.exec(headers.range ?? "")?.[1] ?? 0);
  return { ...rangeFrom(blob.bytes, first), body: blob.bytes.subarray(first) };
}

/** Status and headers for the bytes from `first` on. */
export function rangeFrom(bytes: Uint8Array, first: number) {
  if (first === 0) return { headers: { etag: '"one"' } };
  const range = `bytes ${first}-${bytes.length - 1}/${bytes.length}`;
  return { status: 206, headers: { etag: '"one"', "content-range": range } };
}
