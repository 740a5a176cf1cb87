import { parseJsonDocument } from "@stowage/content";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

describe("parseJsonDocument", () => {
  test("reads what JSON.stringify writes, as JSON.parse does", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes("e+") && !/[0-9]{16,}/.test(text));
        expect(JSON.stringify(parseJsonDocument(Buffer.from(text)))).toBe(
          JSON.stringify(JSON.parse(text)),
        );
      }),
    );
  });

  test.for([
    ["nothing", ""],
    ["a byte order mark", "\ufeff{}"],
    ["text behind the document", "{} x"],
    ["two documents", "{}{}"],
    ["NaN", '{"a":NaN}'],
    ["single quotes", "{'a':1}"],
    ["a comment", "{/* a */}"],
    ["a comma too many", '{"a":1,}'],
    ["a comma too many in an array", "[1,]"],
    ["a leading zero", "[01]"],
    ["a leading plus", "[+1]"],
    ["an infinite number", "[1e400]"],
    ["an integer that a double cannot hold", "[9007199254740993]"],
    ["a control character in a string", '"\n"'],
    ["an unknown escape", String.raw`"\x41"`],
    ["half a string", '"a'],
    ["half an object", '{"a":1'],
  ] as const)("M01, V34: refuses %s", ([, text]) => {
    expect(() => parseJsonDocument(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_INVALID_JSON" }),
    );
  });

  test.for([
    ["\ufeff{}", "a byte order mark"],
    ["", "it is empty"],
    [" \n", "it is empty"],
    ["[1,\n]", "a comma too many in line 1, before ], at character 4 (line 2, column 1)"],
    ['{"a":[{}],\n\n}', "a comma too many in line 1, before }, at character 12 (line 3, column 1)"],
    ["[1,\n,2]", "a comma too many in line 2 at character 4 (line 2, column 1)"],
    ["[1 2]", "a comma or a closing bracket was expected at character 3"],
  ] as const)("says of %j that there is %s", ([text, words]) => {
    expect(() => parseJsonDocument(Buffer.from(text))).toThrow(words);
  });

  test("M01: refuses UTF-16 and malformed UTF-8", () => {
    for (const bytes of [Buffer.from('{"a":1}', "utf16le"), Buffer.of(0x22, 0xff, 0x22)]) {
      expect(() => parseJsonDocument(bytes)).toThrow(
        expect.objectContaining({ code: "ERR_CONTENT_INVALID_JSON" }),
      );
    }
  });

  test.for(['{"a":1,"a":1}', String.raw`{"a":1,"\u0061":2}`, '[{"x":{"b":1,"b":2}}]'])(
    "M03: refuses the repeated key of %s",
    (text) => {
      expect(() => parseJsonDocument(Buffer.from(text))).toThrow(
        expect.objectContaining({ code: "ERR_CONTENT_DUPLICATE_KEY" }),
      );
    },
  );

  test("M08: stops at the caps, and reads what is exactly at them", () => {
    const nested = (depth: number) => Buffer.from("[".repeat(depth) + "]".repeat(depth));
    expect(() => parseJsonDocument(nested(65))).not.toThrow();
    expect(() => parseJsonDocument(nested(66))).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_TOO_LARGE" }),
    );
    expect(() => parseJsonDocument(nested(100_000))).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_TOO_LARGE" }),
    );
    const wide = (count: number) => Buffer.from(`[${Array(count).fill(0).join()}]`);
    expect(parseJsonDocument(wide(9), { maxNodes: 10 })).toHaveLength(9);
    expect(() => parseJsonDocument(wide(10), { maxNodes: 10 })).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_TOO_LARGE" }),
    );
    expect(() => parseJsonDocument(wide(9), { maxBytes: 18 })).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_TOO_LARGE" }),
    );
  });

  test("M09, V33: keys such as __proto__ are only data", () => {
    const read = parseJsonDocument(Buffer.from('{"__proto__":{"polluted":1},"constructor":2}'));
    expect(Object.keys(read as object)).toEqual(["__proto__", "constructor"]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

test("an error tells how much of the document could be taken, if it is one of its text", () => {
  const errorOf = (text: string): unknown => {
    try {
      return parseJsonDocument(Buffer.from(text));
    } catch (error) {
      return error;
    }
  };
  expect(errorOf('{"a": x}')).toMatchObject({ code: "ERR_CONTENT_INVALID_JSON", position: 6 });
  const twice = errorOf('{"a": 1, "a": 2}');
  expect(twice).toMatchObject({ code: "ERR_CONTENT_DUPLICATE_KEY" });
  expect(twice).not.toHaveProperty("position");
});
