/** One entry of an archive. */
export interface TarEntry {
  readonly name: string;
  readonly type?: "directory" | "file" | "hard-link" | "symlink";
  /** @defaultValue 0o755 for directories, 0o644 else */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since 1970. @defaultValue 0 */
  readonly mtime?: number;
  readonly linkName?: string;
  readonly content?: Uint8Array | string;
}

const BLOCK = 512;
const TYPE_FLAGS = { file: "0", "hard-link": "1", symlink: "2", directory: "5" } as const;

/**
 * Writes an archive in the ustar format.
 *
 * @throws RangeError for a name or link target of more than 100 bytes.
 */
export function createTar(entries: readonly TarEntry[]): Buffer {
  const blocks = entries.flatMap((entry) => {
    const content = Buffer.from(entry.content ?? "");
    const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
    return [header(entry, content.length), content, padding];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

function header(entry: TarEntry, size: number): Buffer {
  const { type = "file" } = entry;
  const block = Buffer.alloc(BLOCK);
  writeText(block, entry.name, 0, 100);
  writeOctal(block, entry.mode ?? (type === "directory" ? 0o755 : 0o644), 100, 8);
  writeOctal(block, entry.uid ?? 0, 108, 8);
  writeOctal(block, entry.gid ?? 0, 116, 8);
  writeOctal(block, size, 124, 12);
  writeOctal(block, entry.mtime ?? 0, 136, 12);
  block.fill(" ", 148, 156);
  block.write(TYPE_FLAGS[type], 156);
  writeText(block, entry.linkName ?? "", 157, 100);
  block.write("ustar\u000000", 257, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function writeText(block: Buffer, text: string, offset: number, length: number): void {
  if (Buffer.byteLength(text) > length) throw new RangeError(`${text}: over ${length} bytes`);
  block.write(text, offset);
}

function writeOctal(block: Buffer, value: number, offset: number, length: number): void {
  block.write(value.toString(8).padStart(length - 1, "0"), offset, "latin1");
}
