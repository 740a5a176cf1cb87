import { type FileStat, statAt } from "../linux/file-metadata.ts";
import { cString } from "../linux/libc.ts";
import { type FileOwner, isOwnedBy } from "./file-owner.ts";

const ITSELF = cString("");

/**
 * Who owns the new files of a layer, so that those that are to belong to them are left alone. All are
 * made with the same owner: while a layer is unpacked no directory of it gets another owner, or a
 * mode that passes its group on.
 */
export class NewFileOwner {
  #first: FileStat | undefined;

  /** Whether a file that was just made, and is open, belongs to them. */
  is(fd: number, owner: FileOwner): boolean {
    this.#first ??= statAt(fd, ITSELF);
    return isOwnedBy(this.#first, owner);
  }
}
