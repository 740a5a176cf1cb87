/**
 * A file system that is being put together, one option and one directory at a time, so that neither
 * the number of directories nor their paths run into the length of a page.
 *
 * @see https://docs.kernel.org/filesystems/mount_api.html
 * @module
 */
import { closeSync, readSync } from "node:fs";

import { checkResult, cString, errnoOf, lastErrno, libcFunction, systemError } from "./libc.ts";

/** Calls that are younger than the split of their numbers: they are the same on every architecture. */
export const MOUNT_SYSCALL = {
  openTree: 428,
  moveMount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  mountSetattr: 442,
} as const;

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG = { setString: 1, setFd: 5, create: 6 } as const;
const MAX_LOG_LINES = 32;

const fsopen = libcFunction<[number, Uint8Array, number]>(
  "syscall",
  ["long", "pointer", "uint"],
  "long",
);
const fsconfig = libcFunction<
  [number, number, number, Uint8Array | null, Uint8Array | null, number]
>("syscall", ["long", "int", "uint", "pointer", "pointer", "int"], "long");
const fsmount = libcFunction<[number, number, number, number]>(
  "syscall",
  ["long", "int", "uint", "uint"],
  "long",
);

/** Its errors have what the kernel logged about them in the message. */
export class FsContext implements Disposable {
  readonly #fd: number;
  readonly #type: string;

  /** @throws {@link SystemError} `ENODEV` when the kernel has no such file system. */
  constructor(type: string) {
    this.#type = type;
    const opened = fsopen(MOUNT_SYSCALL.fsopen, cString(type), FSOPEN_CLOEXEC);
    this.#fd = checkResult(opened, "fsopen", type);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  /** @throws {@link SystemError} */
  setString(key: string, value: string): void {
    const { fsconfig: number } = MOUNT_SYSCALL;
    const { setString } = FSCONFIG;
    if (fsconfig(number, this.#fd, setString, cString(key), cString(value), 0) === 0) return;
    throw this.#failure("fsconfig", `${key}=${value}`);
  }

  /**
   * Gives it an open directory. What the descriptor is of has to stay open until {@link create}.
   *
   * @param subject - What it is, for a message.
   * @throws {@link SystemError}
   */
  setDirectory(key: string, fd: number, subject: string): void {
    const { fsconfig: number } = MOUNT_SYSCALL;
    if (fsconfig(number, this.#fd, FSCONFIG.setFd, cString(key), null, fd) === 0) return;
    if (lastErrno() !== errnoOf("EINVAL")) throw this.#failure("fsconfig", `${key}=${subject}`);
    // Before Linux 6.13 only text is taken.
    this.#readLog();
    this.setString(key, `/proc/self/fd/${fd}`);
  }

  /** Makes the file system. @throws {@link SystemError} */
  async create(): Promise<void> {
    try {
      const { fsconfig: number } = MOUNT_SYSCALL;
      const { create } = FSCONFIG;
      await fsconfig.inBackground(this.#type, number, this.#fd, create, null, null, 0);
    } catch (error) {
      const errno = error instanceof Error && "errno" in error ? Number(error.errno) : 0;
      throw errno === 0 ? error : this.#withLog(systemError("fsconfig", this.#type, -errno));
    }
  }

  /** As {@link create}, on this thread, whose user and capabilities the file system remembers. */
  createNow(): void {
    const { fsconfig: number } = MOUNT_SYSCALL;
    if (fsconfig(number, this.#fd, FSCONFIG.create, null, null, 0) === 0) return;
    throw this.#failure("fsconfig", this.#type);
  }

  /** A descriptor of the mount, which is not anywhere yet. @throws {@link SystemError} */
  mount(attributes: number): number {
    const mounted = fsmount(MOUNT_SYSCALL.fsmount, this.#fd, FSMOUNT_CLOEXEC, attributes);
    if (mounted < 0) throw this.#failure("fsmount", this.#type);
    return mounted;
  }

  #failure(syscall: string, subject: string): Error {
    return this.#withLog(systemError(syscall, subject));
  }

  #withLog(error: Error): Error {
    const log = this.#readLog().join("; ");
    if (log !== "") error.message += ` (${log})`;
    return error;
  }

  /** What the kernel has to say: one line for each read of the descriptor. */
  #readLog(): readonly string[] {
    const lines: string[] = [];
    const buffer = Buffer.alloc(1024);
    try {
      while (lines.length < MAX_LOG_LINES) {
        const length = readSync(this.#fd, buffer);
        if (length === 0) break;
        lines.push(buffer.toString("utf8", 0, length).trim());
      }
    } catch {
      // ENODATA: there is nothing more.
    }
    return lines;
  }
}
