// Which records are lines, and what a line says: what the rest of Millrace accepts of the stream (jobs/pyspark/spark_jobs/windows/decode.py),
// in the contract's fields. What is refused is the job `refuse`'s to say.

import { isEntityId, isMeasured, isMoment, unaccepted } from "../contract/index.ts";
import { clockOf } from "../kafka/clock.ts";
import type { KafkaRecord } from "../kafka/kafka.ts";
import type { Contract } from "../pipelines/index.ts";

export interface Accepted {
  readonly key: string;
  readonly time_ms: number;
  /** One JSON object, with its end of line. Every field of the contract, null where there is none or none was accepted. */
  readonly line: string;
}

type Of = Pick<Contract, "key" | "event_time" | "fields" | "lead_ms">;

/** Null for a record that is refused as a whole. `cells` are what its bytes say. */
export function accepted(
  { key, event_time, fields, lead_ms }: Of,
  record: Pick<KafkaRecord, "headers" | "timestamp">,
  cells: Readonly<Record<string, unknown>>,
): Accepted | null {
  const [id, time] = [cells[key], cells[event_time]];
  if (typeof id !== "string" || !isEntityId(id)) return null;
  if (typeof time !== "number" || !isMoment(time)) return null;
  if (time - clockOf(record, lead_ms) > lead_ms) return null;
  const values: Record<string, unknown> = {};
  for (const { name, role, range, attribute } of fields) {
    const value = cells[name] ?? null;
    if (attribute) {
      const refused = unaccepted(attribute, value) !== null;
      if (refused && attribute.required) return null;
      values[name] = refused ? null : value;
    } else if (isMeasured({ role })) {
      const [low, high] = range ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
      values[name] = typeof value === "number" && low <= value && value <= high ? value : null;
    } else values[name] = value;
  }
  return { key: id, time_ms: time, line: `${JSON.stringify(values)}\n` };
}
