/**
 * CRC-64/ISO, the checksum of file contents in tar-split records.
 *
 * @module
 */

const POLYNOMIAL_HIGH = 0xd800_0000;
const SLICES = 8;
const TABLE = 256;

/** The upper and lower halves of what each byte comes to, 1 to 8 bytes before the end. */
const HIGH = new Uint32Array(SLICES * TABLE);
const LOW = new Uint32Array(SLICES * TABLE);
fillTables();

/** Takes the checksum of bytes that come in pieces. */
export class Crc64 {
  #high = 0xffff_ffff;
  #low = 0xffff_ffff;

  update(bytes: Buffer): void {
    let high = this.#high;
    let low = this.#low;
    let at = 0;
    // Eight bytes at a time take a quarter of the time that they take one by one.
    for (const end = bytes.length - (bytes.length % SLICES); at < end; at += SLICES) {
      low ^= wordAt(bytes, at);
      high ^= wordAt(bytes, at + 4);
      const a = 7 * TABLE + (low & 0xff);
      const b = 6 * TABLE + ((low >>> 8) & 0xff);
      const c = 5 * TABLE + ((low >>> 16) & 0xff);
      const d = 4 * TABLE + (low >>> 24);
      const e = 3 * TABLE + (high & 0xff);
      const f = 2 * TABLE + ((high >>> 8) & 0xff);
      const g = TABLE + ((high >>> 16) & 0xff);
      const h = high >>> 24;
      low = of(LOW, a) ^ of(LOW, b) ^ of(LOW, c) ^ of(LOW, d);
      low ^= of(LOW, e) ^ of(LOW, f) ^ of(LOW, g) ^ of(LOW, h);
      high = of(HIGH, a) ^ of(HIGH, b) ^ of(HIGH, c) ^ of(HIGH, d);
      high ^= of(HIGH, e) ^ of(HIGH, f) ^ of(HIGH, g) ^ of(HIGH, h);
    }
    for (; at < bytes.length; at += 1) {
      const index = (low ^ (bytes[at] ?? 0)) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ of(LOW, index);
      high = (high >>> 8) ^ of(HIGH, index);
    }
    this.#high = high;
    this.#low = low;
  }

  /** Eight bytes, the highest first. */
  digest(): Buffer {
    const sum = Buffer.alloc(SLICES);
    sum.writeUInt32BE(~this.#high >>> 0, 0);
    sum.writeUInt32BE(~this.#low >>> 0, 4);
    return sum;
  }
}

function fillTables(): void {
  for (let index = 0; index < TABLE; index += 1) {
    let high = 0;
    let low = index;
    for (let bit = 0; bit < 8; bit += 1) {
      const isSet = (low & 1) === 1;
      low = ((low >>> 1) | (high << 31)) >>> 0;
      high = ((high >>> 1) ^ (isSet ? POLYNOMIAL_HIGH : 0)) >>> 0;
    }
    HIGH[index] = high;
    LOW[index] = low;
  }
  for (let at = TABLE; at < SLICES * TABLE; at += 1) {
    const [high, low] = [of(HIGH, at - TABLE), of(LOW, at - TABLE)];
    LOW[at] = ((low >>> 8) | (high << 24)) ^ of(LOW, low & 0xff);
    HIGH[at] = (high >>> 8) ^ of(HIGH, low & 0xff);
  }
}

function of(table: Uint32Array, index: number): number {
  return table[index] ?? 0;
}

function wordAt(bytes: Buffer, at: number): number {
  const upper = ((bytes[at + 3] ?? 0) << 24) | ((bytes[at + 2] ?? 0) << 16);
  return upper | ((bytes[at + 1] ?? 0) << 8) | (bytes[at] ?? 0);
}
