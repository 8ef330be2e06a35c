// What every pipeline has: its streams, who sends what, how late and how early it may be, and the record of what was refused.

import { type ObservationShape, STREAM_FORMATS } from "../../contract/index.ts";
import type { Pipeline, Stream } from "../../pipelines/define.ts";
import { TOPICS } from "../../pipelines/names.ts";
import { streamNames, usualStream } from "../../pipelines/streams.ts";
import { enumeration, field, nullableField, type RecordSchema, timeField, top } from "../avro.ts";
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

/** Of records that came when the file they belong to was closed: only where there are such files. */
export const LATE = "late";

const reasonsOf = ({ parts }: Pick<Outline, "parts">): readonly string[] =>
  parts.includes("lines") ? [...REJECT_REASONS, LATE] : REJECT_REASONS;

/** What each stream may be called, and which of them parts may read. */
export function checkStreams({ need }: Check, pipeline: Pipeline): void {
  const names = streamNames(pipeline);
  need(names.length > 0, "streams", "at least one stream", names);
  const results = (pipeline.queries ?? []).flatMap(({ name, sink }) => (sink.kind === "kafka" ? [name] : []));
  const taken = [...TOPICS, ...results];
  for (const name of names)
    need(
      /^[a-z][a-z0-9_]*$/.test(name) && !taken.includes(name),
      `streams.${name}`,
      `a name in snake_case other than ${taken.join(", ")}`,
      name,
    );
  const one = `one of the streams ${names.join(", ")}`;
  const known = (stream: string | null) => stream !== null && names.includes(stream);
  const { windows, archive, lines, simulated } = pipeline;
  const usual = usualStream(pipeline);
  if (windows) need(known(usual), "windows.reads", one, windows.reads);
  if (archive) need(known(archive.reads ?? usual), "archive.reads", one, archive.reads);
  if (lines) {
    need(known(lines.reads ?? usual), "lines.reads", one, lines.reads);
    need(
      /^hdfs:(?:\/\/[^/]+)?\/[^/]/.test(lines.place),
      "lines.place",
      "a folder of an HDFS, hdfs:/folder",
      lines.place,
    );
    need(
      /^[a-z][a-z0-9_-]*$/.test(lines.prefix),
      "lines.prefix",
      "lower-case letters, a letter first",
      lines.prefix,
    );
    need(
      Number.isInteger(lines.batch_records) && lines.batch_records >= 1,
      "lines.batch_records",
      "at least 1",
      lines.batch_records,
    );
  }
  if (simulated) need(known(simulated.stream ?? usual), "simulated.stream", one, simulated.stream);
  // A backfill reads the archive as it reads the topic behind it.
  if (windows && archive)
    need(
      (archive.reads ?? usual) === usual,
      "archive.reads",
      `the stream of the windows, "${usual}"`,
      archive.reads,
    );
  if (pipeline.demo) need(known(usual), "demo", `a stream called raw or a single one, to replay into`, names);
}

export function outlineStream({ need }: Check, name: string, observation: ObservationShape, stream: Stream) {
  const place = `streams.${name}`;
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

export function rejectsSchema(outline: Outline): RecordSchema {
  return top(
    outline,
    "rejects",
    "What could not be used, with its original bytes. Identity (topic, partition, offset, field).",
    [
      field("topic", "string", "Where it was read; the name of the file in a backfill from one."),
      field("partition", "int", "Its partition."),
      field("offset", "long", "Its offset."),
      nullableField("field", "string", "The one field that was refused; null for the whole record."),
      field("reason", enumeration("reject_reason", reasonsOf(outline)), "Why."),
      field("detail", "string", "One sentence with the numbers."),
      nullableField(outline.key, "string", "Whose record it is, where that can be read."),
      nullableField("schema_id", "int", "Registry id in the record's frame, where there is one."),
      nullableField("key", "bytes", "The record's key, as it came."),
      nullableField("value", "bytes", "The record's value, as it came."),
      field("headers", { type: "map", values: "bytes" }, "The record's headers, as they came."),
      timeField("append_time", "When the record was appended, wall time."),
      timeField("rejected_time", "When it was refused, wall time."),
      // At the end, where a stream that is added later adds its own.
      ...furtherKeys(outline).map((key) =>
        nullableField(key, "string", "Whose record it is, on a stream with this key."),
      ),
    ],
  );
}

/** Those of the other streams, and the value that windows and what comes of them are by. */
function furtherKeys({ key, by, other_streams }: Outline): string[] {
  const keys = new Set(Object.values(other_streams).map((stream) => stream.key));
  if (by !== undefined) keys.add(by);
  keys.delete(key);
  return [...keys];
}
