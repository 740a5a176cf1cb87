/** A piece of a message that has a meaning of its own, or a list of such pieces with its length. */
export interface MessageField {
  readonly name: string;
  /** The octets of the length that goes before it; 0 for none. */
  readonly lengthOctets: 0 | 1 | 2;
  readonly content: Buffer | readonly MessageField[];
}

/** One packet: its tag, and its fields in order. */
export interface MessagePacket {
  readonly tag: number;
  readonly fields: readonly MessageField[];
}

const NAMES: Readonly<Record<number, string>> = {
  2: "signature",
  4: "announcement",
  11: "literal",
};

/** What a packet is called here: the announcement is the one-pass signature packet of the RFC. */
export function nameOfPacket(tag: number): string {
  return NAMES[tag] ?? `packet ${tag}`;
}

/** Takes a signed message apart that is not compressed, as gpg writes it: RFC 9580, section 5. */
export function readOpenPgpMessage(bytes: Buffer): readonly MessagePacket[] {
  const packets: MessagePacket[] = [];
  for (let at = 0; at < bytes.length;) {
    const first = bytes.readUInt8(at);
    const isNew = (first & 0x40) !== 0;
    const tag = isNew ? first & 0x3f : (first >> 2) & 0xf;
    const { octets, length } = isNew ? newLength(bytes, at + 1) : oldLength(bytes, at);
    const start = at + 1 + octets;
    at = start + length;
    packets.push({ tag, fields: fieldsOf(tag, bytes.subarray(start, at)) });
  }
  return packets;
}

/** Puts a message together: each header in the new form, each length right. */
export function writeOpenPgpMessage(packets: readonly MessagePacket[]): Buffer {
  return Buffer.concat(
    packets.map(({ tag, fields }) => {
      const body = Buffer.concat(fields.map(writeField));
      const length = Buffer.alloc(5, 0xff);
      length.writeUInt32BE(body.length, 1);
      return Buffer.concat([Buffer.of(0xc0 | tag), length, body]);
    }),
  );
}

/** Every field of a packet, with those inside of others. */
export function* fieldsWithin(
  fields: readonly MessageField[],
  path: readonly number[] = [],
): Generator<readonly [path: readonly number[], field: MessageField]> {
  for (const [index, field] of fields.entries()) {
    yield [[...path, index], field];
    if (!Buffer.isBuffer(field.content)) yield* fieldsWithin(field.content, [...path, index]);
  }
}

/** The field of this name that the byte at `offset` belongs to, or its header's or its length's. */
export function fieldAt(bytes: Buffer, offset: number): string {
  let at = 0;
  for (const { tag, fields } of readOpenPgpMessage(bytes)) {
    const name = nameOfPacket(tag);
    const size = fields.reduce((sum, field) => sum + writeField(field).length, 0);
    const first = bytes.readUInt8(at);
    const { octets } = (first & 0x40) !== 0 ? newLength(bytes, at + 1) : oldLength(bytes, at);
    const start = at + 1 + octets;
    if (offset < start) return `${name} header`;
    if (offset < start + size) return `${name} ${nameWithin(fields, offset - start)}`;
    at = start + size;
  }
  return "nothing";
}

function nameWithin(fields: readonly MessageField[], offset: number): string {
  let at = 0;
  for (const field of fields) {
    const size = writeField(field).length;
    if (offset < at + size) {
      const inside = offset - at - field.lengthOctets;
      if (inside < 0) return `${field.name} length`;
      return Buffer.isBuffer(field.content) ? field.name : nameWithin(field.content, inside);
    }
    at += size;
  }
  return "nothing";
}

function writeField({ lengthOctets, content }: MessageField): Buffer {
  const body = Buffer.isBuffer(content) ? content : Buffer.concat(content.map(writeField));
  const length = Buffer.alloc(lengthOctets);
  if (lengthOctets > 0) length.writeUIntBE(body.length, 0, lengthOctets);
  return Buffer.concat([length, body]);
}

function fieldsOf(tag: number, body: Buffer): readonly MessageField[] {
  if (tag === 2) return signatureFields(body);
  if (tag === 4) {
    return cut(body, [
      ["version", 1],
      ["type", 1],
      ["hash", 1],
      ["algorithm", 1],
      ["key ID", 8],
      ["last", 1],
    ]);
  }
  const named = body.readUInt8(1);
  return [
    plain("format", body.subarray(0, 1)),
    { name: "file name", lengthOctets: 1, content: body.subarray(2, 2 + named) },
    plain("date", body.subarray(2 + named, 6 + named)),
    plain("content", body.subarray(6 + named)),
  ];
}

function signatureFields(body: Buffer): readonly MessageField[] {
  const hashed = body.readUInt16BE(4);
  const unhashed = body.readUInt16BE(6 + hashed);
  const rest = 8 + hashed + unhashed;
  return [
    ...cut(body.subarray(0, 4), [
      ["version", 1],
      ["type", 1],
      ["algorithm", 1],
      ["hash", 1],
    ]),
    remarks("signed remarks", body.subarray(6, 6 + hashed)),
    remarks("unsigned remarks", body.subarray(8 + hashed, rest)),
    plain("beginning of the hash", body.subarray(rest, rest + 2)),
    ...numbers(body.subarray(rest + 2)),
  ];
}

function remarks(name: string, body: Buffer): MessageField {
  const content: MessageField[] = [];
  for (let at = 0; at < body.length; at += 1 + body.readUInt8(at)) {
    const remark = body.subarray(at + 1, at + 1 + body.readUInt8(at));
    const inside = name.replace("remarks", `remark ${remark.readUInt8(0) & 0x7f}`);
    const fields = [
      plain(`${inside} type`, remark.subarray(0, 1)),
      plain(inside, remark.subarray(1)),
    ];
    content.push({ name: inside, lengthOctets: 1, content: fields });
  }
  return { name, lengthOctets: 2, content };
}

function numbers(body: Buffer): readonly MessageField[] {
  const fields: MessageField[] = [];
  for (let at = 0; at < body.length;) {
    const octets = Math.ceil(body.readUInt16BE(at) / 8);
    const name = `number ${fields.length / 2 + 1}`;
    fields.push(plain(`${name} bits`, body.subarray(at, at + 2)));
    fields.push(plain(name, body.subarray(at + 2, at + 2 + octets)));
    at += 2 + octets;
  }
  return fields;
}

function cut(body: Buffer, sizes: readonly (readonly [string, number])[]): readonly MessageField[] {
  let at = 0;
  return sizes.map(([name, size]) => plain(name, body.subarray(at, (at += size))));
}

function plain(name: string, content: Buffer): MessageField {
  return { name, lengthOctets: 0, content };
}

/** As gpg writes short ones: of one octet or two. */
function newLength(bytes: Buffer, at: number): { octets: number; length: number } {
  const first = bytes.readUInt8(at);
  if (first < 192) return { octets: 1, length: first };
  if (first === 255) return { octets: 5, length: bytes.readUInt32BE(at + 1) };
  return { octets: 2, length: ((first - 192) << 8) + bytes.readUInt8(at + 1) + 192 };
}

function oldLength(bytes: Buffer, at: number): { octets: number; length: number } {
  const octets = [1, 2, 4][bytes.readUInt8(at) & 3] ?? 0;
  return { octets, length: bytes.readUIntBE(at + 1, octets) };
}
