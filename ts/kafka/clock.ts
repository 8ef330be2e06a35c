// How far event time had come for the source of a record, as decode.py believes it.

import { isMoment } from "../contract/index.ts";
import type { KafkaRecord } from "./kafka.ts";

/** How far a record may lead its clock, and that the broker's, unless the contract says otherwise. */
const LEAD_MS = 3_600_000;

/**
 * The source's own clock in the header `clock`, else the time the broker appended the record; epoch ms. One that is no whole
 * number, or no moment of the years 1 to 9999, is none; one that leads the broker's by more than `lead_ms` is believed so far.
 */
export function clockOf(record: Pick<KafkaRecord, "headers" | "timestamp">, lead_ms = LEAD_MS): number {
  const text = record.headers["clock"]?.toString("utf8").trim() ?? "";
  const clock = /^[+-]?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return isMoment(clock) ? Math.min(clock, record.timestamp + lead_ms) : record.timestamp;
}
