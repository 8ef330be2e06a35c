// Which moments an event can have: the years 1 to 9999 of UTC, as far as every engine and every way to write one goes.

const EARLIEST_MS = Date.parse("0001-01-01T00:00:00Z");
const LATEST_MS = Date.parse("9999-12-31T23:59:59.999Z");

/** Epoch ms, both ends inclusive; false for NaN. */
export function isMoment(ms: number): boolean {
  return ms >= EARLIEST_MS && ms <= LATEST_MS;
}
