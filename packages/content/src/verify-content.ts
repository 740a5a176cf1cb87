/**
 * Holds bytes to the {@link Descriptor} that names them.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#verification
 * @module
 */
import { ContentError } from "./content-error.ts";
import type { ByteSource, ContentProvider } from "./content-provider.ts";
import type { Descriptor } from "./descriptor.ts";
import { algorithmOf, createDigester, type Digest, digestOf } from "./digest.ts";

/** How {@link readContent} reads. */
export interface ReadContentOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * The most bytes to hold in memory.
   *
   * @defaultValue 4_194_304 (4 MiB, the manifest length that registries should accept)
   */
  readonly maxBytes?: number | undefined;
}

const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;

/** What is being verified already: to hash it again would take as long, and tell nothing new. */
const verified = new WeakMap<
  ByteSource,
  {
    readonly digest: Digest;
    readonly size: number;
    readonly content: AsyncGenerator<Uint8Array, void, undefined>;
  }
>();

/**
 * Passes on the chunks of `source`, and fails unless they add up to what `descriptor` names.
 *
 * The last chunk is passed on before the digest is known, so show the bytes to nobody until the
 * iteration has ended without an error. No byte past the size is ever passed on. What this function
 * made for the same descriptor is passed on as it is.
 *
 * @throws {@link ContentError} `ERR_CONTENT_SIZE_MISMATCH` at the first byte too many, or at the
 *   end if some are missing; `ERR_CONTENT_DIGEST_MISMATCH` at the end.
 */
export function verifyContent(
  source: ByteSource,
  descriptor: Pick<Descriptor, "digest" | "size">,
): AsyncGenerator<Uint8Array, void, undefined> {
  return alreadyVerified(source, descriptor) ?? asVerified(verify(source, descriptor), descriptor);
}

function alreadyVerified(
  source: ByteSource,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
): AsyncGenerator<Uint8Array, void, undefined> | undefined {
  const known = verified.get(source);
  return known?.digest === digest && known.size === size ? known.content : undefined;
}

/**
 * Marks content that its maker holds to `descriptor`, as {@link verifyContent} would: by the end of
 * the iteration. `verifyContent` then passes it on as it is.
 */
export function asVerified(
  content: AsyncGenerator<Uint8Array, void, undefined>,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
): AsyncGenerator<Uint8Array, void, undefined> {
  verified.set(content, { digest, size, content });
  return content;
}

async function* verify(
  source: ByteSource,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digester = createDigester(algorithmOf(digest));
  let received = 0;
  for await (const chunk of source) {
    received += chunk.byteLength;
    if (received > size) throw tooMany(digest, size);
    digester.update(chunk);
    yield chunk;
  }
  if (received < size) throw tooFew(digest, size, received);
  requireDigest(digest, digester.digest());
}

function tooMany(digest: Digest, size: number): ContentError {
  return new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: more than ${size} bytes`);
}

function tooFew(digest: Digest, size: number, received: number): ContentError {
  return new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: ${received} of ${size} bytes`);
}

function requireDigest(digest: Digest, actual: Digest): void {
  if (actual === digest) return;
  throw new ContentError("ERR_CONTENT_DIGEST_MISMATCH", `${digest}: bytes are ${actual}`);
}

/**
 * Reads small content, such as a manifest, whole and verified.
 *
 * @throws {@link ContentError} `ERR_CONTENT_TOO_LARGE` before anything is opened, or as
 *   {@link verifyContent} does.
 */
export async function readContent(
  provider: ContentProvider,
  descriptor: Descriptor,
  options: ReadContentOptions = {},
): Promise<Uint8Array> {
  const { maxBytes = DEFAULT_MAX_BYTES, signal } = options;
  const { digest, size } = descriptor;
  if (size > maxBytes) {
    throw new ContentError("ERR_CONTENT_TOO_LARGE", `${digest}: ${size} bytes, over ${maxBytes}`);
  }
  signal?.throwIfAborted();
  const source = provider.openContent(descriptor, { signal });
  const known = alreadyVerified(source, descriptor);
  const chunks: Uint8Array[] = [];
  let received = 0;
  for await (const chunk of known ?? source) {
    received += chunk.byteLength;
    if (received > size) throw tooMany(digest, size);
    chunks.push(chunk);
  }
  if (received < size) throw tooFew(digest, size, received);
  // The size is a stranger's claim: memory is taken for what has come, not for what was announced.
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  // At once: small content is hashed in less time than a chunk takes to be handed on.
  if (known === undefined) requireDigest(digest, digestOf(bytes, algorithmOf(digest)));
  return bytes;
}
