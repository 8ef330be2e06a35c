import fc from "fast-check";
import { expect, it } from "vitest";
import { canonicalJson } from "./canonical.ts";

it("is one text whatever the order of keys, also of those that look like numbers", () => {
  expect(canonicalJson({ b: [1, { d: null, c: "ü" }], a: 1.5, "10": 0, "9": 0 })).toBe(
    '{"10":0,"9":0,"a":1.5,"b":[1,{"c":"ü","d":null}]}',
  );
  expect(canonicalJson({ a: undefined })).toBe("{}");
});

it("says the same as JSON", () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const plain: unknown = JSON.parse(JSON.stringify(value));
      expect(JSON.parse(canonicalJson(value))).toEqual(plain);
    }),
  );
});

it("refuses what JSON has no form for", () => {
  for (const value of [undefined, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => canonicalJson(value)).toThrow();
});
