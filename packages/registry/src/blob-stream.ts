import {
  type ByteSource,
  ContentError,
  type ContentOrigin,
  type Descriptor,
  hasErrorCode,
} from "@stowage/content";

import { type BlobPart, openBlobPart, skipBytes } from "./blob-part.ts";
import { publishBlob } from "./diagnostics.ts";
import { RangeWindow } from "./range-window.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { SpeedMeter } from "./speed-meter.ts";

/** A blob whose connection broke and that is about to go on where it stopped. */
export interface ResumeEvent {
  readonly type: "resume";
  readonly digest: string;
  /** The bytes that are here. */
  readonly received: number;
}

/** A blob that is read over so many connections at once from now on. */
export interface ParallelEvent {
  readonly type: "parallel";
  readonly digest: string;
  readonly connections: number;
}

export type BlobStreamEvent = ParallelEvent | ResumeEvent;

export interface BlobStreamOptions {
  readonly offset: number;
  /** @defaultValue 6 */
  readonly maxRanges?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onOrigin?: ((origin: ContentOrigin) => void) | undefined;
  readonly onEvent?: ((event: BlobStreamEvent) => void) | undefined;
  /** Begins anew; none if the reader cannot. Has to call {@link BlobStream.rewind}. */
  readonly onRestart?: (() => Promise<void>) | undefined;
}

// A further break is forgiven only after real progress, or a server that always breaks would hold
// us for ever.
const RESUME_AFTER_BYTES = 1024 * 1024;
const RESUME_AFTER_TIME = 60_000;
const DEFAULT_MAX_RANGES = 6;
// A connection that carries more is not what holds a download up.
const FAST = 32 * 1024 * 1024;
// What must be left for more connections to pay: in bytes, and in seconds at the present rate.
const MIN_PARALLEL = 8 * 1024 * 1024;
const MIN_PARALLEL_TIME = 3;
const MIN_LEAD = 1024 * 1024;
const MAX_RANGE_FAILURES = 3;

/** The bytes of one blob in their order, from whatever place it is told to read them. */
export class BlobStream {
  /** Bytes that have been passed on, those before the first offset included. */
  received: number;
  readonly #descriptor: Descriptor;
  readonly #options: BlobStreamOptions;
  /** By place, the validator of the version that the bytes so far are of. */
  readonly #validators = new Map<RegistryConnection, string>();
  /** Places that have been begun anew, since they did not go on where they should. */
  readonly #restarted = new Set<RegistryConnection>();
  #origin: ContentOrigin | undefined;
  #rangeFailures = 0;

  constructor(descriptor: Descriptor, options: BlobStreamOptions) {
    this.#descriptor = descriptor;
    this.#options = options;
    this.received = options.offset;
  }

  /** Byte 0 is the next. */
  rewind(): void {
    this.received = 0;
    this.#validators.clear();
    this.#origin = undefined;
  }

  /** Takes note of where the bytes before the first offset came from. */
  setOrigin(connection: RegistryConnection, { validator }: ContentOrigin): void {
    if (validator !== undefined) this.#validators.set(connection, validator);
  }

  /**
   * Reads on at a place until the end of the blob.
   *
   * @param hasAlternative - whether there is another.
   * @throws {@link RegistryError} when it breaks for good; {@link ContentError}
   *   `ERR_CONTENT_SIZE_MISMATCH` when it has too few bytes, or too many.
   */
  async *readFrom(connection: RegistryConnection, hasAlternative: boolean): ByteSource {
    const { digest, size } = this.#descriptor;
    const { signal, onEvent } = this.#options;
    const source = connection.repository.host;
    let last: Break | undefined;
    do {
      // A slot is held while the bytes flow.
      using slot = await connection.blobSlots.acquire(signal);
      const bytes = await this.#open(connection, hasAlternative);
      const begun = this.received;
      try {
        const ranges = yield* this.#readStream(connection, bytes);
        slot[Symbol.dispose]();
        if (ranges !== undefined) yield* this.#readRanges(ranges);
      } catch (error) {
        signal?.throwIfAborted();
        const now = { received: this.received, time: performance.now() };
        if (!isForgiven(error, begun, last, now)) throw error;
        last = { ...now, received: Math.max(now.received, last?.received ?? 0) };
        onEvent?.({ type: "resume", digest, received: this.received });
        publishBlob({ type: "resume", digest, size, received: this.received, source });
      }
    } while (this.received < size);
  }

  /** Opens it where the bytes here end, or at its beginning if that is all that can be had. */
  async #open(connection: RegistryConnection, hasAlternative: boolean): Promise<ByteSource> {
    const { digest, size } = this.#descriptor;
    const { signal, onOrigin, onRestart } = this.#options;
    for (;;) {
      const offset = this.received;
      const validator = this.#validators.get(connection);
      // Once only: a server that never goes on must not be asked for the whole again and again.
      const restart = offset > 0 && !this.#restarted.has(connection) ? onRestart : undefined;
      let part: BlobPart;
      try {
        const how = { digest, size, offset, validator, hasAlternative, signal };
        part = await openBlobPart(connection, how);
      } catch (error) {
        if (restart === undefined || !isWrongRange(error)) throw error;
        this.#restarted.add(connection);
        await restart();
        continue;
      }
      if (part.isWhole && restart !== undefined) {
        this.#restarted.add(connection);
        await restart();
      }
      const { origin } = part;
      if (origin.validator !== undefined) this.#validators.set(connection, origin.validator);
      if (origin.url !== this.#origin?.url || origin.validator !== this.#origin.validator) {
        this.#origin = origin;
        onOrigin?.(origin);
      }
      return part.isWhole ? skipBytes(part.bytes, this.received) : part.bytes;
    }
  }

  /** Reads one answer; to its end, or to where ranges over several connections take over. */
  async *#readStream(
    connection: RegistryConnection,
    bytes: ByteSource,
  ): AsyncGenerator<Uint8Array, RangeWindow | undefined> {
    const { digest, size } = this.#descriptor;
    const speed = new SpeedMeter();
    let ranges: RangeWindow | undefined;
    let isHandedOver = false;
    try {
      for await (const chunk of bytes) {
        speed.count(chunk.byteLength);
        const isDue = ranges !== undefined && this.received + chunk.byteLength >= ranges.start;
        if (ranges?.failure !== undefined || (isDue && ranges?.isProven === false)) {
          ranges = await this.#giveUp(ranges);
        }
        const end = ranges?.start ?? size;
        const wanted = chunk.subarray(0, end - this.received);
        if (wanted.byteLength < chunk.byteLength && end === size) {
          throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: more than ${size} bytes`);
        }
        this.received += wanted.byteLength;
        yield wanted;
        if (ranges !== undefined && this.received === end) {
          isHandedOver = true;
          return ranges;
        }
        ranges ??= this.#widen(connection, speed);
        speed.ask();
      }
      if (this.received === size) return undefined;
      const found = `${digest}: ${this.received} of ${size} bytes`;
      throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", found);
    } finally {
      if (!isHandedOver) await ranges?.[Symbol.asyncDispose]();
    }
  }

  async *#readRanges(ranges: RangeWindow): ByteSource {
    await using _ranges = ranges;
    for await (const chunk of ranges.read()) {
      this.received += chunk.byteLength;
      yield chunk;
    }
    this.#options.signal?.throwIfAborted();
    if (this.received < this.#descriptor.size) await this.#giveUp(ranges);
  }

  #widen(connection: RegistryConnection, speed: SpeedMeter): RangeWindow | undefined {
    const { digest, size } = this.#descriptor;
    const { maxRanges = DEFAULT_MAX_RANGES, signal, onEvent } = this.#options;
    const rate = speed.senderRate();
    const validator = this.#validators.get(connection);
    const source = connection.repository.host;
    if (rate === undefined || rate > FAST || validator === undefined) return undefined;
    // Several blobs at once are connections enough; what is slow then is the way that they share.
    if (connection.blobSlots.taken > 1) return undefined;
    if (maxRanges < 2 || this.#rangeFailures >= MAX_RANGE_FAILURES) return undefined;
    const start = this.received + Math.ceil(Math.max(rate, MIN_LEAD));
    if (size - start < Math.max(MIN_PARALLEL, rate * MIN_PARALLEL_TIME)) return undefined;
    const onWidth = (connections: number): void => {
      onEvent?.({ type: "parallel", digest, connections });
      publishBlob({ type: "parallel", digest, size, received: this.received, source, connections });
    };
    const options = { connection, digest, size, start, validator, rate, signal, onWidth };
    return RangeWindow.begin({ ...options, maxWidth: maxRanges });
  }

  /** One connection goes on alone; for good if the server cannot do it, or it does not help. */
  async #giveUp(ranges: RangeWindow | undefined): Promise<undefined> {
    const { failure, isProven } = ranges ?? {};
    const isPassing =
      hasErrorCode(failure, "ERR_REGISTRY_UNAVAILABLE", "ERR_REGISTRY_STALLED") ||
      (failure === undefined && isProven === false);
    this.#rangeFailures = isPassing ? this.#rangeFailures + 1 : MAX_RANGE_FAILURES;
    await ranges?.[Symbol.asyncDispose]();
    return undefined;
  }
}

interface Break {
  readonly received: number;
  /** On the monotonic clock. */
  readonly time: number;
}

/** Whether to go on at the same place after a break. */
function isForgiven(error: unknown, begun: number, last: Break | undefined, now: Break): boolean {
  const isStall = hasErrorCode(error, "ERR_REGISTRY_STALLED");
  if (!isStall && !hasErrorCode(error, "ERR_REGISTRY_UNAVAILABLE")) return false;
  const gained = now.received - (last?.received ?? begun);
  if (gained >= RESUME_AFTER_BYTES) return true;
  // What has stalled has taken its time already.
  if (isStall) return false;
  return last === undefined || (gained > 0 && now.time - last.time >= RESUME_AFTER_TIME);
}

/** Whether it is the answer to a range that was wrong, so that the whole may still be had. */
function isWrongRange(error: unknown): boolean {
  return hasErrorCode(error, "ERR_CONTENT_SIZE_MISMATCH", "ERR_REGISTRY_PROTOCOL");
}
