import { ContentError } from "./content-error.ts";
import type { ContentStore } from "./content-store.ts";
import type { Digest } from "./digest.ts";
import { verifyContent } from "./verify-content.ts";

/** A {@link ContentStore} that lives and dies with the process. */
export function createMemoryContentStore(): ContentStore {
  const held = new Map<Digest, Uint8Array>();
  return {
    async stat(digest, options) {
      options?.signal?.throwIfAborted();
      const bytes = held.get(digest);
      return bytes && { digest, size: bytes.byteLength };
    },
    async write(descriptor, source, options) {
      options?.signal?.throwIfAborted();
      if (held.has(descriptor.digest)) return;
      const chunks: Uint8Array[] = [];
      for await (const chunk of verifyContent(source, descriptor)) {
        options?.signal?.throwIfAborted();
        chunks.push(chunk.slice());
      }
      held.set(descriptor.digest, concat(chunks, descriptor.size));
    },
    async remove(digest, options) {
      options?.signal?.throwIfAborted();
      return held.delete(digest);
    },
    async *walk() {
      for (const [digest, bytes] of held) yield { digest, size: bytes.byteLength };
    },
    async *openContent(descriptor, options) {
      options?.signal?.throwIfAborted();
      const bytes = held.get(descriptor.digest);
      if (bytes === undefined) {
        throw new ContentError("ERR_CONTENT_NOT_FOUND", `${descriptor.digest}: not in the store`);
      }
      yield bytes.subarray(options?.offset ?? 0);
    },
  };
}

function concat(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}
