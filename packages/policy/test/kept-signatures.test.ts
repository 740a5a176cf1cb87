import {
  formatSignatureBlob,
  packSignatures,
  parseSignatureBlob,
  unpackSignatures,
} from "@stowage/policy";
import { describe, expect, test } from "vitest";

import { SIGNATURE } from "./support/signature-places.ts";

describe("kept signatures", () => {
  const all = [
    parseSignatureBlob(SIGNATURE, "one"),
    parseSignatureBlob(Buffer.from("\0simple-signing\nabc"), "two"),
    parseSignatureBlob(
      Buffer.from('\0sigstore-json\n{"mimeType":"a","payload":"YQ==","annotations":{"b":"c"}}'),
      "three",
    ),
    parseSignatureBlob(Buffer.from("\0sigstore-bundle\n{}"), "four"),
  ];

  test("come out as they went in", () => {
    const kept = all.filter(({ origin }) => origin !== "two");
    const { signatures, places } = unpackSignatures(packSignatures(kept));
    expect(signatures).toEqual(kept);
    expect(places).toMatchObject([{ kind: "store", found: 3 }]);
  });

  test("as files begin with what they are", () => {
    const first = all.map((signature) => formatSignatureBlob(signature)[0]);
    expect(first).toEqual([0x90, 0x61, 0, 0]);
  });

  test.for(["", "[]", "{}", '{"version":2,"signatures":[]}', '{"version":1,"signatures":[{}]}'])(
    "S19 that are %s are damaged",
    (text) => {
      expect(() => unpackSignatures(Buffer.from(text))).toThrow(
        expect.objectContaining({ code: "ERR_POLICY_SIGNATURE_INVALID" }),
      );
    },
  );
});
