// The rules of attributes against schemas/acceptance.json, which jobs/pyspark/tests/test_attributes.py reads as well.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Attribute, dateText, dayOf, unaccepted } from "./attribute.ts";
import { breaches } from "./compatibility.ts";
import { parseObservation } from "./observation.ts";

interface Example {
  readonly field: { readonly name: string };
  readonly unreadable?: string;
  readonly rules?: Attribute;
  readonly accepted?: readonly unknown[];
  readonly refused?: readonly unknown[];
}

const path = join(import.meta.dirname, "..", "..", "schemas", "acceptance.json");
const examples = JSON.parse(readFileSync(path, "utf8")) as readonly Example[];

const contract = (...fields: object[]) =>
  JSON.stringify({
    type: "record",
    name: "notice",
    fields: [
      { name: "site", type: "string", role: "key" },
      {
        name: "reported_at",
        type: { type: "long", logicalType: "timestamp-millis" },
        unit: "ms",
        role: "event_time",
      },
      ...fields.map((field) => ({ ...field, role: "attribute" })),
    ],
  });
const read = (field: object) => parseObservation(contract(field), "notice").fields.at(-1)!.attribute!;

describe.each(examples.map((example) => [JSON.stringify(example.field), example] as const))("%s", (_, e) => {
  if (e.unreadable !== undefined) {
    it("is refused in a contract", () => expect(() => read(e.field)).toThrow(e.unreadable));
    return;
  }
  it("has these rules", () => expect(read(e.field)).toEqual(e.rules));
  it("accepts", () => {
    for (const value of e.accepted!) expect([value, unaccepted(e.rules!, value)]).toEqual([value, null]);
  });
  it("refuses, with what was expected and seen", () => {
    for (const value of e.refused!)
      expect(unaccepted(e.rules!, value), String(value)).toMatch(/^expected .*, got /);
  });
});

describe("days", () => {
  it.each([
    ["1970-01-01", 0],
    ["1969-12-31", -1],
    ["0001-01-01", -719_162],
    ["9999-12-31", 2_932_896],
    ["2024-02-29", 19_782],
  ])("%s", (text, day) => {
    expect(dayOf(text)).toBe(day);
    expect(dateText(day)).toBe(text);
  });
  it.each(["2023-02-29", "2024-13-01", "2024-1-1", "20240101", "2024-02-29T00:00:00Z", "", "today"])(
    "%j is none",
    (text) => expect(dayOf(text)).toBeNull(),
  );
});

describe("a contract of attributes alone", () => {
  it("is one", () =>
    expect(parseObservation(contract(), "notice").fields.map(({ role }) => role)).toEqual([
      "key",
      "event_time",
    ]));
  it("may get another, and no other rule for the same", () => {
    const note = { name: "note", type: ["null", "string"], default: null };
    expect(breaches(contract(), contract(note))).toEqual([]);
    expect(breaches(contract(), contract({ name: "note", type: "string" }))[0]?.field).toBe("note");
    expect(breaches(contract(note), contract({ ...note, max_length: 5 }))[0]?.reason).toContain("max_length");
  });
});
