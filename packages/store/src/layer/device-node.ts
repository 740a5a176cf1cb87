import { FILE_TYPE } from "../linux/file-metadata.ts";
import { invalidEntry } from "./layer-error.ts";
import type { TarEntry } from "./tar-entry.ts";

/** What `mknod` has to be told. */
export interface DeviceNode {
  /** The bits of the mode that say what it is. */
  readonly type: number;
  readonly major: number;
  readonly minor: number;
}

const MAX_MAJOR = 0xfff;
const MAX_MINOR = 0xfffff;

/**
 * The device, or the pipe, of an entry.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` where there can be none such, and for what would
 *   hide something of the layers below.
 */
export function nodeOf(entry: TarEntry, path: string): DeviceNode {
  if (entry.type === "fifo") return { type: FILE_TYPE.fifo, major: 0, minor: 0 };
  const { major, minor } = entry;
  const isPossible = major >= 0 && minor >= 0 && major <= MAX_MAJOR && minor <= MAX_MINOR;
  if (!isPossible) throw invalidEntry(path, "no such device number");
  if (entry.type === "block-device") return { type: FILE_TYPE.blockDevice, major, minor };
  if (major === 0 && minor === 0) {
    throw invalidEntry(path, "a device that overlayfs takes for a whiteout");
  }
  return { type: FILE_TYPE.characterDevice, major, minor };
}
