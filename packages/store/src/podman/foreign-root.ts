import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { escapeText, hasErrorCode, type JsonValue, parseJsonDocument } from "@stowage/content";

import { tryLockFile } from "../linux/file-lock.ts";
import { openBelow } from "../linux/open-below.ts";
import { describeHolders } from "../lock-holders.ts";
import { StoreError } from "../store-error.ts";
import { reportFailures } from "../system-failure.ts";

const MAX_RECORDS_BYTES = 64 * 1024 * 1024;
const MAX_RECORD_NODES = 4_000_000;
const PAUSE_MS = 10;

/** How long {@link ForeignRoot.lock} waits. */
export interface ForeignLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds. */
  readonly timeout: number;
}

/**
 * The directory of a store that others write, held open. Nothing outside it is ever opened: no path
 * leads through a symbolic link, and none up.
 */
export class ForeignRoot implements Disposable {
  readonly path: string;
  readonly #fd: number;

  /** @throws {@link StoreError} `ERR_STORE_INVALID_ROOT` if there is no such directory. */
  constructor(path: string) {
    this.path = path;
    try {
      this.#fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (cause) {
      if (!hasErrorCode(cause, "ENOENT", "ENOTDIR", "EACCES")) throw cause;
      const why = hasErrorCode(cause, "EACCES") ? "you may not read it" : "it is no directory";
      throw new StoreError("ERR_STORE_INVALID_ROOT", `${escapeText(path)}: ${why}`, {
        cause,
        hint: "Name podman's store: its graphRoot, as podman info tells it.",
      });
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  /** Opens a directory, to open more from; `undefined` where there is none. */
  openDirectory(path: string): number | undefined {
    return openBelow(this.#fd, path, "directory");
  }

  /** Opens a regular file for reading; `undefined` where there is none. */
  openFile(path: string): number | undefined {
    const fd = openBelow(this.#fd, path, "file");
    if (fd === undefined || fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    return undefined;
  }

  /**
   * A file as a whole; `undefined` where there is none.
   *
   * @throws {@link StoreError} `ERR_STORE_LIMIT_EXCEEDED`, `ERR_STORE_IO`
   */
  async readFile(path: string, maxBytes: number): Promise<Buffer | undefined> {
    return reportFailures(escapeText(join(this.path, path)), async () => {
      const fd = this.openFile(path);
      if (fd === undefined) return undefined;
      try {
        const { size } = fstatSync(fd);
        if (size <= maxBytes) return readFileSync(fd);
        const message = `${escapeText(path)}: ${size} bytes, over ${maxBytes}`;
        throw new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
      } finally {
        closeSync(fd);
      }
    });
  }

  /** A list of records; `undefined` where there is none. @throws {@link StoreError} `ERR_STORE_CORRUPT` */
  async readRecords(path: string): Promise<readonly JsonValue[] | undefined> {
    const bytes = await this.readFile(path, MAX_RECORDS_BYTES);
    if (bytes === undefined) return undefined;
    try {
      const limits = { maxBytes: MAX_RECORDS_BYTES, maxNodes: MAX_RECORD_NODES };
      const json = parseJsonDocument(bytes, limits);
      if (Array.isArray(json)) return json as readonly JsonValue[];
      throw new TypeError("it is no list");
    } catch (cause) {
      const reason = cause instanceof Error ? escapeText(cause.message) : "unreadable";
      const message = `${escapeText(join(this.path, path))} is damaged: ${reason}`;
      throw new StoreError("ERR_STORE_CORRUPT", message, { cause });
    }
  }

  /**
   * Shares a lock of the store, so that nobody changes what it guards. A store without the file has
   * no writer.
   *
   * @throws {@link StoreError} `ERR_STORE_BUSY` naming the holder, when the time is up.
   */
  async lock(path: string, { signal, timeout }: ForeignLockOptions): Promise<Disposable> {
    const fd = this.openFile(path);
    if (fd === undefined) return { [Symbol.dispose]() {} };
    try {
      for (const deadline = performance.now() + timeout; !tryLockFile(fd, "shared");) {
        if (performance.now() >= deadline) {
          const whole = join(this.path, path);
          const message = `${escapeText(whole)} is locked by ${describeHolders(whole)}`;
          throw new StoreError("ERR_STORE_BUSY", message, { hint: "Wait for it, and try again." });
        }
        await delay(PAUSE_MS, undefined, { signal });
      }
    } catch (error) {
      closeSync(fd);
      signal?.throwIfAborted();
      throw error;
    }
    return { [Symbol.dispose]: () => closeSync(fd) };
  }
}
