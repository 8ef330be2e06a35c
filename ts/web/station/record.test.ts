import { expect, it } from "vitest";
import { NOTHING, withEvent } from "./record.ts";

const T = Date.parse("2016-12-04T12:00:00Z");
const iso = (ms: number) => new Date(ms).toISOString();

it("withEvent() adds what the stream says of a station, newest last, and nothing before what is shown", () => {
  const prediction = (ms: number, id: string) => ({ prediction: { id, timestamp: iso(ms) } });
  let record = withEvent(NOTHING, "prediction", prediction(T, "a"), T - 1);
  record = withEvent(record, "prediction", prediction(T + 1, "b"), T - 1);
  // A revision of the same window takes its place.
  record = withEvent(record, "prediction", prediction(T + 1, "c"), T - 1);
  record = withEvent(record, "prediction", prediction(T - 2, "d"), T - 1);
  expect(record.issued.map(({ id }) => id)).toEqual(["a", "c"]);
  record = withEvent(record, "observation", { observed: { window_end: iso(T), values: {} } }, T - 1);
  record = withEvent(record, "verification", { verification: { id: "v", valid: iso(T) } }, T - 1);
  expect([record.windows.length, record.verifications.length]).toEqual([1, 1]);
  expect(withEvent(record, "job", { job: "x" }, T)).toBe(record);
});
