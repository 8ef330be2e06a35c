// Fields, records and enumerations of the schemas that the parts write.

import type { Outline } from "./derive.ts";

type Avro = string | object;

export interface Field {
  readonly name: string;
  readonly type: Avro;
  readonly default?: null;
  readonly quantity?: string;
  readonly unit?: string;
  readonly doc: string;
}

export const TIME_TYPE = { type: "long", logicalType: "timestamp-millis" };

export const field = (name: string, type: Avro, doc: string): Field => ({ name, type, doc });
export const timeField = (name: string, doc: string): Field => ({ name, type: TIME_TYPE, unit: "ms", doc });
export const nullableField = (name: string, type: Avro, doc: string): Field => ({
  name,
  type: ["null", type],
  default: null,
  doc,
});
export const nullableTime = (name: string, doc: string): Field => ({
  ...nullableField(name, TIME_TYPE, doc),
  unit: "ms",
});
export const share = (name: string, doc: string): Field => ({ name, type: "double", unit: "1", doc });
export const record = (name: string, fields: readonly Field[], doc?: string) => ({
  type: "record",
  name,
  ...(doc === undefined ? {} : { doc }),
  fields,
});
export const enumeration = (name: string, symbols: readonly string[]) => ({ type: "enum", name, symbols });

/** One of a pipeline's own records, as its part writes it. */
export interface RecordSchema {
  readonly type: string;
  readonly name: string;
  readonly namespace: string;
  readonly doc: string;
  readonly fields: readonly Field[];
}

/** The record of a topic. A field's place in it is part of the contract: add at the end, never between. */
export function top(
  { pipeline }: Pick<Outline, "pipeline">,
  what: string,
  doc: string,
  fields: readonly Field[],
): RecordSchema {
  return {
    type: "record",
    name: `${pipeline}_${what}`,
    namespace: `millrace.${pipeline}`,
    doc,
    fields,
  };
}
