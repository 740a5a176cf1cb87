import { link, lstat, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { pause } from "./back-off.ts";
import { isAlive, ownRealm, startTimeOf } from "./living-process.ts";
import { partialPath } from "./partial-file.ts";
import { RegistryError } from "./registry-error.ts";

/** How {@link acquireFileLock} waits. */
export interface FileLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds. @defaultValue 30_000 */
  readonly timeout?: number | undefined;
}

const POLL = 20;
// Written in the next moment, or never: its process is gone, or its disk was full.
const EMPTY_MS = 10_000;
const NO_LINKS = ["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK"] as const;

/**
 * Holds a file that says who holds it, until disposed of. The lock of a process that is gone is
 * taken over.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_BUSY` naming the holder, when the time is up.
 */
export async function acquireFileLock(
  path: string,
  { signal, timeout = 30_000 }: FileLockOptions = {},
): Promise<AsyncDisposable> {
  const mine = `${await describeSelf()}\n`;
  const deadline = performance.now() + timeout;
  const written = await partialPath(dirname(path));
  try {
    await writeFile(written, mine, { flag: "wx", mode: 0o600 });
    for (;;) {
      signal?.throwIfAborted();
      if (await take(path, written, mine)) {
        return {
          async [Symbol.asyncDispose]() {
            await rm(path, { force: true });
          },
        };
      }
      const holder = await readHolder(path);
      const left = deadline - performance.now();
      if (holder !== undefined && !(await isHeld(holder))) {
        await takeAway(path, holder, { signal, timeout: left });
        continue;
      }
      if (left < 0) {
        throw new RegistryError("ERR_REGISTRY_BUSY", `${path}: held by process ${pidOf(holder)}`, {
          hint: "Wait for that process; if there is none, remove the file.",
        });
      }
      await pause(POLL, signal);
    }
  } finally {
    await rm(written, { force: true });
  }
}

/** Makes the lock appear with its holder in it, so that a kill leaves none that is nobody's. */
async function take(path: string, written: string, mine: string): Promise<boolean> {
  try {
    await link(written, path);
    return true;
  } catch (error) {
    if (hasErrorCode(error, "EEXIST")) return false;
    if (!hasErrorCode(error, ...NO_LINKS)) throw error;
  }
  try {
    await writeFile(path, mine, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (hasErrorCode(error, "EEXIST")) return false;
    await rm(path, { force: true });
    throw error;
  }
}

async function readHolder(path: string): Promise<string | undefined> {
  try {
    const text = (await readFile(path, "utf8")).trim();
    if (text !== "") return text;
    return Date.now() - (await lstat(path)).mtimeMs > EMPTY_MS ? "" : undefined;
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function describeSelf(): Promise<string> {
  const { boot, realm } = await ownRealm();
  return `${process.pid} ${await startTimeOf(process.pid)} ${realm} ${boot}`;
}

function pidOf(holder: string | undefined): string {
  return /^[0-9]{1,10}(?= |$)/u.exec(holder ?? "")?.[0] ?? "?";
}

/** Whoever has its number in another container cannot be seen from here, until the machine restarts. */
async function isHeld(holder: string): Promise<boolean> {
  const [pid = "", started = "", realm, boot] = holder.split(" ");
  if (!/^[0-9]{1,10}$/u.test(pid)) return false;
  const own = await ownRealm();
  if (realm !== undefined && realm !== own.realm) return boot === own.boot;
  return await isAlive(Number(pid), started);
}

/**
 * Of several who find the same dead holder, one at a time looks again: by then the lock may be that
 * of somebody who lives.
 */
async function takeAway(path: string, holder: string, options: FileLockOptions): Promise<void> {
  await using _turn = await acquireFileLock(`${path}.dead`, options);
  if ((await readHolder(path)) === holder) await rm(path, { force: true });
}
