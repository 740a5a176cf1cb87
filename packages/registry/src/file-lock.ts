import { randomBytes } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";

import { hasErrorCode } from "@stowage/content";

import { pause } from "./back-off.ts";
import { isAlive, ownRealm, startTimeOf } from "./living-process.ts";
import { RegistryError } from "./registry-error.ts";

/** How {@link acquireFileLock} waits. */
export interface FileLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds. @defaultValue 30_000 */
  readonly timeout?: number | undefined;
}

const POLL = 20;

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
  for (;;) {
    signal?.throwIfAborted();
    try {
      await writeFile(path, mine, { flag: "wx", mode: 0o600 });
      return {
        async [Symbol.asyncDispose]() {
          await rm(path, { force: true });
        },
      };
    } catch (error) {
      if (!hasErrorCode(error, "EEXIST")) throw error;
    }
    const holder = await readHolder(path);
    if (holder !== undefined && !(await isHeld(holder))) {
      await takeAway(path, holder);
      continue;
    }
    if (performance.now() > deadline) {
      throw new RegistryError("ERR_REGISTRY_BUSY", `${path}: held by process ${pidOf(holder)}`, {
        hint: "Wait for that process; if there is none, remove the file.",
      });
    }
    await pause(POLL, signal);
  }
}

async function readHolder(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, "utf8");
    // Empty between the creation and the first write.
    return text === "" ? undefined : text.trim();
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

/** Of several who find the same dead holder, one moves its lock away; it must still be that one. */
async function takeAway(path: string, holder: string): Promise<void> {
  const aside = `${path}.${randomBytes(4).toString("hex")}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return;
    throw error;
  }
  if ((await readHolder(aside)) === holder) await rm(aside, { force: true });
  else await rename(aside, path);
}
