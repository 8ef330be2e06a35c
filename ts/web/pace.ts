// How event time runs beside the clock on the wall: live, or a replay of the past and how fast. Pure.

/** Event time that lies further back than this is a replay: no live feed is as late. */
export const REPLAY_MS = 3 * 3_600_000;
/** Wall time over which the speed is measured. */
const SPAN_MS = 20_000;
/** Nothing is said of a speed before this much wall time was seen. */
const SPAN_MS_MIN = 2_000;

interface Mark {
  readonly wall_ms: number;
  readonly event_ms: number;
}

/** The newest event time at each moment; only what moves it on is kept. */
export class Pace {
  #marks: Mark[] = [];

  /** A window that ends at `event_ms` was committed at `wall_ms`. */
  take(event_ms: number, wall_ms: number): void {
    const last = this.#marks.at(-1);
    if (last && (event_ms <= last.event_ms || wall_ms < last.wall_ms)) return;
    this.#marks.push({ event_ms, wall_ms });
    const from = this.#marks.findIndex((mark) => mark.wall_ms >= wall_ms - SPAN_MS);
    this.#marks.splice(0, from);
  }

  /** Seconds of event time a second; null before enough was seen. */
  get speed(): number | null {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    if (!first || !last || last.wall_ms - first.wall_ms < SPAN_MS_MIN) return null;
    return (last.event_ms - first.event_ms) / (last.wall_ms - first.wall_ms);
  }
}

/** Whether a moment of event time is of the past, as seen from the wall clock. */
export const isReplay = (event_ms: number, wall_ms: number): boolean => wall_ms - event_ms > REPLAY_MS;

/** `3,600 times as fast`, to two digits; null for a speed nobody can tell from life. */
export function speedText(speed: number | null): string | null {
  if (speed === null) return null;
  const rounded = Number(speed.toPrecision(2));
  if (rounded === 1) return "as fast as it was";
  return `${rounded.toLocaleString("en-US")} times as fast as it was`;
}
