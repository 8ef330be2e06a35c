// When a batch is due. A schedule is five fields of cron in UTC. Each due time gets one run; times that pass while an earlier
// run goes on, or while no supervisor runs, are made up by one run for the latest of them. Pure: time is passed in.

import { Cron } from "croner";
import { PipelineError } from "../contract/index.ts";

export interface Timetable {
  /** Five fields of cron, UTC; null for a job that runs when it is asked for. */
  readonly schedule: string | null;
  /** Times before this are none of its own; epoch ms. */
  readonly since_ms: number;
  /** Somebody asked for a run of its own at this time; epoch ms, null for nobody. */
  readonly asked_ms: number | null;
  /** The event time that run is to be of; nothing where it follows from the time it is due. */
  readonly asked_span?: Span | null;
}

/** Event time, epoch ms: from inclusive, to exclusive. */
export interface Span {
  readonly from_ms: number;
  readonly to_ms: number;
}

function parse(schedule: string): Cron {
  // Five fields only: a schedule by the second would start engines faster than they stop.
  return new Cron(schedule, { timezone: "UTC", mode: "5-part", paused: true });
}

/** Errors: `config_invalid` for what is no schedule, or one that never comes. */
export function requireSchedule(schedule: string): void {
  let next: Date | null;
  try {
    next = parse(schedule).nextRun();
  } catch (cause) {
    throw new PipelineError(
      "config_invalid",
      `Cannot use schedule "${schedule}": expected five fields of cron in UTC, such as "30 3 * * *"`,
      { cause },
    );
  }
  if (next === null)
    throw new PipelineError(
      "config_invalid",
      `Cannot use schedule "${schedule}": expected a time that comes, it names none`,
    );
}

/** The time of a run that somebody asks for now: later than any that has had its run, whatever became of this machine's clock. */
export function askAt(now_ms: number, ran_ms: number | null): number {
  return Math.max(now_ms, (ran_ms ?? 0) + 1);
}

/** The due time that a run now would be for, inclusive of now; null when nothing is due. `ran_ms` is the last one that had its run. */
export function dueNow(
  { schedule, since_ms, asked_ms }: Timetable,
  ran_ms: number | null,
  now_ms: number,
): number | null {
  const after = ran_ms ?? Number.NEGATIVE_INFINITY;
  // Who asked waits for a run of its own, whatever the schedule says meanwhile.
  if (asked_ms !== null && asked_ms > after) return asked_ms;
  if (schedule === null) return null;
  const last =
    parse(schedule)
      .previousRuns(1, new Date(now_ms + 1))[0]
      ?.getTime() ?? null;
  return last !== null && last >= since_ms && last > after ? last : null;
}

/** The next due time after now; null for a job without a schedule. */
export function nextDue(schedule: string | null, now_ms: number): number | null {
  return schedule === null ? null : (parse(schedule).nextRun(new Date(now_ms))?.getTime() ?? null);
}
