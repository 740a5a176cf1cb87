/** One header and its body, with every field open to abuse. */
export interface RawEntry {
  readonly name?: string | Buffer;
  readonly type?: string;
  readonly link?: string | Buffer;
  readonly mode?: number | Buffer;
  readonly uid?: number | Buffer;
  readonly gid?: number | Buffer;
  readonly size?: number | Buffer;
  readonly mtime?: number | Buffer;
  readonly major?: number;
  readonly minor?: number;
  readonly magic?: string;
  /** What goes before the name, in a header of ustar. */
  readonly prefix?: string;
  readonly checksum?: Buffer;
  readonly body?: string | Buffer;
  /** Records of an extended header that goes before. */
  readonly pax?: readonly (readonly [string, string | Buffer])[];
  /** Whole entries between that and this one, such as long names. */
  readonly before?: readonly Buffer[];
}

export const ENTRY_BYTES = 512;

/** An archive with its two end blocks. */
export function rawTar(...entries: readonly RawEntry[]): Buffer {
  return Buffer.concat([...entries.map(rawEntry), Buffer.alloc(2 * ENTRY_BYTES)]);
}

/** The blocks of one entry. */
export function rawEntry(entry: RawEntry): Buffer {
  const { pax, before = [], ...rest } = entry;
  const extended = pax ? [rawEntry({ name: "pax", type: "x", body: paxBody(pax) })] : [];
  return Buffer.concat([
    ...extended,
    ...before,
    rawHeader(rest),
    padded(Buffer.from(rest.body ?? "")),
  ]);
}

/** The body of an extended header. */
export function paxBody(records: readonly (readonly [string, string | Buffer])[]): Buffer {
  return Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
      let length = rest.length;
      while (String(length).length + rest.length !== length) {
        length = String(length).length + rest.length;
      }
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
}

function rawHeader(entry: RawEntry): Buffer {
  const header = Buffer.alloc(ENTRY_BYTES);
  const body = Buffer.from(entry.body ?? "");
  const isDirectory = entry.type === "5";
  Buffer.from(entry.name ?? "").copy(header, 0, 0, 100);
  putNumber(header, 100, 8, entry.mode ?? (isDirectory ? 0o755 : 0o644));
  putNumber(header, 108, 8, entry.uid ?? 0);
  putNumber(header, 116, 8, entry.gid ?? 0);
  putNumber(header, 124, 12, entry.size ?? body.length);
  putNumber(header, 136, 12, entry.mtime ?? 1_000_000_000);
  header.write(entry.type ?? "0", 156, "latin1");
  Buffer.from(entry.link ?? "").copy(header, 157, 0, 100);
  header.write(entry.magic ?? "ustar\u000000", 257, "latin1");
  putNumber(header, 329, 8, entry.major ?? 0);
  putNumber(header, 337, 8, entry.minor ?? 0);
  Buffer.from(entry.prefix ?? "").copy(header, 345, 0, 155);
  header.fill(" ", 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  const checksum = entry.checksum ?? Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `);
  checksum.copy(header, 148);
  return header;
}

function putNumber(header: Buffer, start: number, length: number, value: number | Buffer): void {
  if (typeof value !== "number") {
    value.copy(header, start, 0, length);
    return;
  }
  const octal = value.toString(8).padStart(length - 1, "0");
  if (octal.length < length) {
    header.write(`${octal}\0`, start, "latin1");
    return;
  }
  header[start] = 0x80;
  header.writeUIntBE(value, start + length - 6, 6);
}

function padded(body: Buffer): Buffer {
  return Buffer.concat([
    body,
    Buffer.alloc((ENTRY_BYTES - (body.length % ENTRY_BYTES)) % ENTRY_BYTES),
  ]);
}
