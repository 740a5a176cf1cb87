/**
 * As much of DER as certificates and timestamps need, read so strictly that one value has one form.
 *
 * @see https://www.itu.int/rec/T-REC-X.690-202102-I
 * @module
 */
import { SignatureRejection } from "../signature/signature-rejection.ts";

/** One value: its tag as it stands, its content, and all of it. */
export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly bytes: Uint8Array;
}

/** The tags that are looked for. */
export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  nothing: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const MAX_VALUES = 1000;

/** The one value that `bytes` are. */
export function readDer(bytes: Uint8Array, tag: number): DerValue {
  const [value, more] = readDerList(bytes);
  if (value === undefined || more !== undefined || value.tag !== tag) malformed();
  return value;
}

/** The values that `bytes` are, one after the other. */
export function readDerList(bytes: Uint8Array): readonly DerValue[] {
  const values: DerValue[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const tag = bytes[offset] ?? 0;
    const { length, begin } = readLength(bytes, offset + 1);
    const end = begin + length;
    if ((tag & 0x1f) === 0x1f || end > bytes.length || values.length === MAX_VALUES) malformed();
    values.push({ tag, content: bytes.subarray(begin, end), bytes: bytes.subarray(offset, end) });
    offset = end;
  }
  return values;
}

/** An object identifier as it is written: `1.3.6.1`. */
export function oidOf({ content }: DerValue): string {
  const numbers: number[] = [];
  let number = 0;
  for (const [index, byte] of content.entries()) {
    if (number === 0 && byte === 0x80) malformed();
    number = number * 128 + (byte & 0x7f);
    if (number > 2 ** 40 || (index === content.length - 1 && byte >= 0x80)) malformed();
    if (byte >= 0x80) continue;
    numbers.push(number);
    number = 0;
  }
  const [first, ...others] = numbers;
  if (first === undefined) malformed();
  const root = Math.min(Math.floor(first / 40), 2);
  return [root, first - 40 * root, ...others].join(".");
}

/** The bytes of a string of whole bytes. */
export function bitStringBytes({ content }: DerValue): Uint8Array {
  if (content[0] !== 0 || content.length < 2) malformed();
  return content.subarray(1);
}

function readLength(bytes: Uint8Array, offset: number): { length: number; begin: number } {
  const first = bytes[offset] ?? malformed();
  if (first < 0x80) return { length: first, begin: offset + 1 };
  const count = first & 0x7f;
  const digits = bytes.subarray(offset + 1, offset + 1 + count);
  const length = digits.reduce((sum, digit) => sum * 256 + digit, 0);
  // The shortest form is the only one.
  const isShortest = digits[0] !== 0 && length >= 0x80;
  if (count === 0 || count > 3 || digits.length < count || !isShortest) malformed();
  return { length, begin: offset + 1 + count };
}

function malformed(): never {
  throw new SignatureRejection("malformed", "what it brings is not in DER");
}
