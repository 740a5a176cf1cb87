/**
 * The highest number that anybody ever told this store of a thing. Each is the name of an empty file,
 * so that nobody takes a lock or waits: the highest stays, whoever else writes or removes lower ones.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { closeSync, constants, mkdirSync, openSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { syncDirectory } from "./publish-file.ts";
import { StoreError } from "./store-error.ts";
import type { StoreLayout } from "./store-layout.ts";
import { reportFailures } from "./system-failure.ts";

/** What users of a store remember together. */
export interface HighWaterMarks {
  /** @returns The highest that is known of `name`; `undefined` if none is. */
  highest(name: string): Promise<number | undefined>;
  /**
   * Notes `value` for `name` unless a higher one is known, durably.
   *
   * @param value - A whole number from 0.
   * @returns The highest that is known now; `value` itself if that is it.
   * @throws {@link StoreError} `ERR_STORE_INVALID_ARGUMENT`, `ERR_STORE_NO_SPACE`,
   *   `ERR_STORE_READ_ONLY`, `ERR_STORE_IO`
   */
  raise(name: string, value: number): Promise<number>;
}

const DIGITS = 16;
const MARK = /^[0-9]{16}$/;

export function createHighWaterMarks(layout: StoreLayout): HighWaterMarks {
  const directoryOf = (name: string): string =>
    join(layout.marks, createHash("sha256").update(name).digest("hex"));
  return {
    highest: (name) =>
      reportFailures("a mark can not be read", async () => marksIn(directoryOf(name)).at(-1)),
    raise: (name, value) =>
      reportFailures("a mark can not be noted", async () => {
        if (!Number.isSafeInteger(value) || value < 0) {
          throw new StoreError("ERR_STORE_INVALID_ARGUMENT", `${value} can not be a mark`);
        }
        const directory = directoryOf(name);
        const known = marksIn(directory);
        const highest = known.at(-1);
        if (highest !== undefined && highest >= value) return highest;
        await addMark(directory, value);
        for (const lower of known) rmSync(markPath(directory, lower), { force: true });
        return value;
      }),
  };
}

/** In order. */
function marksIn(directory: string): readonly number[] {
  try {
    return readdirSync(directory)
      .filter((entry) => MARK.test(entry))
      .map(Number)
      .toSorted((a, b) => a - b);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return [];
    throw error;
  }
}

async function addMark(directory: string, value: number): Promise<void> {
  const made = mkdirSync(directory, { recursive: true, mode: 0o700 });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;
  closeSync(openSync(markPath(directory, value), flags, 0o600));
  await syncDirectory(directory);
  if (made !== undefined) await syncDirectory(dirname(directory));
}

function markPath(directory: string, value: number): string {
  return join(directory, String(value).padStart(DIGITS, "0"));
}
