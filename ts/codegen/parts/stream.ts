// What every pipeline has: who sends what, how late and how early it may be, and the record of what was refused.

import { type Observation, STREAM_FORMATS } from "../../contract/index.ts";
import type { Stream } from "../../pipelines/define.ts";
import { enumeration, field, nullable, type Schema, time, top } from "../avro.ts";
import type { Check } from "../check.ts";
import type { Outline } from "../derive.ts";

export const REJECT_REASONS = [
  "bad_framing",
  "unknown_schema",
  "undecodable",
  "missing_key",
  "missing_time",
  "time_jump",
  "out_of_range",
  "unscorable",
] as const;

export function outlineStream({ need }: Check, observation: Observation, stream: Stream) {
  const place = "streams.raw";
  need(stream.observation === observation.name, `${place}.observation`, observation.name, stream.observation);
  need(
    Number.isInteger(stream.partitions) && stream.partitions >= 1,
    `${place}.partitions`,
    "at least 1",
    stream.partitions,
  );
  need(stream.lateness_ms >= 0 && stream.lead_ms >= 0, place, "a lateness and a lead of at least 0", stream);
  const { format = "avro" } = stream;
  need(STREAM_FORMATS.includes(format), `${place}.format`, `one of ${STREAM_FORMATS.join(", ")}`, format);
  return {
    // Said where it is another than Avro: what was always so means what it always meant.
    ...(format === "avro" ? {} : { format }),
    key: observation.key,
    event_time: observation.event_time,
    fields: observation.fields,
    duplicates: stream.duplicates,
    lateness_ms: stream.lateness_ms,
    lead_ms: stream.lead_ms,
  };
}

export function rejectsSchema(outline: Outline): Schema {
  return top(
    outline,
    "rejects",
    "What could not be used, with its original bytes. Identity (topic, partition, offset, field).",
    [
      field("topic", "string", "Where it was read; the name of the file in a backfill from one."),
      field("partition", "int", "Its partition."),
      field("offset", "long", "Its offset."),
      nullable("field", "string", "The one field that was refused; null for the whole record."),
      field("reason", enumeration("reject_reason", REJECT_REASONS), "Why."),
      field("detail", "string", "One sentence with the numbers."),
      nullable(outline.key, "string", "Whose record it is, where that can be read."),
      nullable("schema_id", "int", "Registry id in the record's frame, where there is one."),
      nullable("key", "bytes", "The record's key, as it came."),
      nullable("value", "bytes", "The record's value, as it came."),
      field("headers", { type: "map", values: "bytes" }, "The record's headers, as they came."),
      time("append_time", "When the record was appended, wall time."),
      time("rejected_time", "When it was refused, wall time."),
    ],
  );
}
