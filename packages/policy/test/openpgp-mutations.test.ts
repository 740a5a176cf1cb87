import { type GpgKeyring, hasPeer, makeGpgKeyring } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { judgeImage, judgeOne, payloadOf, simpleSignature } from "./support/judged-image.ts";
import {
  fieldAt,
  fieldsWithin,
  nameOfPacket,
  type MessageField,
  type MessagePacket,
  readOpenPgpMessage,
  writeOpenPgpMessage,
} from "./support/openpgp-message.ts";
import { flipBit } from "./support/sigstore-signer.ts";

const IS_LONG = process.env["STOWAGE_BIT_STRIDE"] === "1";
const PLAIN = ["--compress-algo", "none"];
/** Those behind the first take minutes. */
const ALGORITHMS = ["ed25519", "nistp256", "rsa2048"].slice(0, IS_LONG ? 3 : 1);
const COMPRESSIONS = ["zip", "zlib", "bzip2"].slice(0, IS_LONG ? 3 : 1);
/** Of packets that readers pass over: marker, trust, padding, and a private one. */
const IGNORED_TAGS = [10, 12, 21, 60];

describe.runIf(hasPeer("gpg"))("a good GPG signature with one thing of it changed", () => {
  let keyring: GpgKeyring;

  beforeAll(async () => {
    keyring = await makeGpgKeyring();
  });

  afterAll(() => keyring[Symbol.asyncDispose]());

  interface Signed {
    readonly bytes: Buffer;
    readonly requirement: object;
  }

  /** Signs until `isWanted`, since it is chance how many bits a number of a signature has. */
  async function sign(
    algorithm: string,
    args: readonly string[],
    isWanted: (bytes: Buffer) => boolean = () => true,
  ): Promise<Signed> {
    const signer = await keyring.makeKey(`${algorithm}${args.join("")}`, { algorithm });
    const keyData = Buffer.from(await keyring.exportKey(signer)).toString("base64");
    const requirement = { type: "signedBy", keyType: "GPGKeys", keyData };
    for (let creator = 0; ; creator += 1) {
      const payload = payloadOf({ optional: { creator: String(creator) } });
      const bytes = await keyring.sign(signer, payload, ...args);
      if (isWanted(bytes)) return { bytes, requirement };
    }
  }

  test.for(ALGORITHMS)(
    "counts only if the bit is one of these, which nobody signs: %s",
    async (algorithm) => {
      const { bytes, requirement } = await sign(algorithm, PLAIN, haveNumbersRoom);
      const flips = Array.from(
        { length: bytes.length * 8 },
        (_, bit) => [fieldAt(bytes, bit >> 3), flipBit(bytes, bit)] as const,
      );
      expect(await countingAmong(requirement, flips)).toEqual([
        "literal date",
        "signature number 1 bits",
        ...(algorithm.startsWith("rsa") ? [] : ["signature number 2 bits"]),
        "signature unsigned remarks length",
      ]);
    },
  );

  test.for(COMPRESSIONS)(
    "counts only with the same content, however it was compressed: %s",
    async (compression) => {
      const { bytes, requirement } = await sign("ed25519", ["--compress-algo", compression]);
      const flips = Array.from(
        { length: bytes.length * 8 },
        (_, bit) => ["compressed", flipBit(bytes, bit)] as const,
      );
      expect(["", "compressed"]).toContain(String(await countingAmong(requirement, flips)));
    },
  );

  test("counts only if the field is one of these, which nobody signs", async () => {
    const { bytes, requirement } = await sign("ed25519", PLAIN);
    const packets = readOpenPgpMessage(bytes);
    expect(
      (await judgeOne(requirement, simpleSignature(writeOpenPgpMessage(packets)))).allowed,
    ).toBe(true);
    const changed = [...everyChange(packets)].map(
      ([name, other]) => [name, writeOpenPgpMessage(other)] as const,
    );
    expect(await countingAmong(requirement, changed)).toEqual(
      [
        // Read as one octet of a file name, and so on.
        "literal format longer",
        "literal file name another",
        "literal file name empty",
        "literal file name longer",
        "literal file name longer before",
        "literal date another",
        "announcement key ID longer",
        "announcement last longer",
        "announcement last twice",
        "signature unsigned remark 16 gone",
        "signature unsigned remark 16 twice",
        ...IGNORED_TAGS.map((tag) => `packet ${tag} more`),
      ].toSorted(),
    );
  });
});

/** Whether each number of the signature begins with a bit of 0, so that its bits can be counted otherwise. */
function haveNumbersRoom(bytes: Buffer): boolean {
  const { fields = [] } = readOpenPgpMessage(bytes).at(-1) ?? {};
  return fields
    .filter(({ name }) => /^number \d$/.test(name))
    .every(({ content }) => Buffer.isBuffer(content) && content.readUInt8(0) < 0x80);
}

/** The message with one packet or one field gone, there twice, longer, empty or another. */
function* everyChange(
  packets: readonly MessagePacket[],
): Generator<readonly [name: string, changed: readonly MessagePacket[]]> {
  for (const [at, packet] of packets.entries()) {
    const name = nameOfPacket(packet.tag);
    yield [`${name} gone`, packets.toSpliced(at, 1)];
    yield [`${name} twice`, packets.toSpliced(at, 0, packet)];
    for (const tag of IGNORED_TAGS) {
      const content = Buffer.from("PGP");
      const more = { tag, fields: [{ name: "", lengthOctets: 0 as const, content }] };
      yield [`packet ${tag} more`, packets.toSpliced(at, 0, more)];
    }
    for (const [path, field] of fieldsWithin(packet.fields)) {
      for (const [how, other] of changesOf(field)) {
        const fields = replaced(packet.fields, path, other);
        yield [`${name} ${field.name} ${how}`, packets.with(at, { ...packet, fields })];
      }
    }
  }
}

function* changesOf(
  field: MessageField,
): Generator<readonly [how: string, other: readonly MessageField[]]> {
  const { content } = field;
  yield ["gone", []];
  yield ["twice", [field, field]];
  if (Buffer.isBuffer(content)) {
    yield ["another", [{ ...field, content: Buffer.from(content.map((byte) => byte ^ 0xff)) }]];
    yield ["longer", [{ ...field, content: Buffer.concat([content, Buffer.of(1)]) }]];
    yield ["longer before", [{ ...field, content: Buffer.concat([Buffer.of(0), content]) }]];
    yield ["empty", [{ ...field, content: Buffer.of() }]];
    return;
  }
  if (content.length > 1) yield ["reversed", [{ ...field, content: content.toReversed() }]];
  for (const type of [2, 3, 16, 20, 27, 32, 33, 40, 100, 0x90]) {
    const remark = { name: "", lengthOctets: 1 as const, content: Buffer.of(type, 0, 0, 0, 1) };
    yield [`with ${type}`, [{ ...field, content: [...content, remark] }]];
  }
}

function replaced(
  fields: readonly MessageField[],
  [first = 0, ...rest]: readonly number[],
  other: readonly MessageField[],
): readonly MessageField[] {
  if (rest.length === 0) return fields.toSpliced(first, 1, ...other);
  const field = fields[first];
  if (field === undefined || Buffer.isBuffer(field.content)) throw new Error("no such field");
  return fields.with(first, { ...field, content: replaced(field.content, rest, other) });
}

/** The names of those that count still, in order. */
async function countingAmong(
  requirement: object,
  changed: readonly (readonly [name: string, bytes: Buffer])[],
): Promise<readonly string[]> {
  const signatures = changed.map(([name, bytes]) => simpleSignature(bytes, name));
  const { requirements } = await judgeImage([requirement], signatures);
  const verdicts = requirements[0]?.signatures ?? [];
  expect(verdicts).toHaveLength(changed.length);
  const counting = verdicts.filter(({ accepted }) => accepted);
  for (const { identity } of counting) expect(identity).toBe("q.io/a/b:1");
  return [...new Set(counting.map(({ origin }) => origin))].toSorted();
}
