// Doing something again after a fault that passes by itself: a connection that was lost, a server that is just being started
// again. Few tries, growing pauses with jitter, one deadline. Knows neither HTTP nor Kafka: the caller says what passes.
//
// Own lines and not p-retry or axios-retry: both wait by the process's own clock, so that a test would have to wait with
// them, and axios-retry knows axios alone while Kafka's administration needs the same.

import { type Clock, wallClock } from "./clock.ts";

/** What went wrong between us and a server that may be well again a moment later. */
export type Fault =
  /** Nobody listens, so nothing was sent. */
  | "refused"
  /** The connection ended before the answer: whether the request was carried out is not known. */
  | "lost"
  /** No answer in time; not known either. */
  | "late"
  /** It answered that it cannot now (502, 503, 504, a broker that settles); not known either. */
  | "busy";

export interface Pace {
  /** Tries in all, the first one included. */
  readonly tries: number;
  /** Pause before the second try; each later one is twice as long, up to `most_ms`. */
  readonly first_ms: number;
  readonly most_ms: number;
  /** From the first try on; no other one begins later. */
  readonly deadline_ms: number;
}

/**
 * Five pauses of 0.2, 0.4 … 3.2 s: a server that is started again is back within them, and a command on engines that are
 * down says so after some six seconds. The deadline is for servers that are slow to fail.
 */
export const DEFAULT_PACE: Pace = { tries: 6, first_ms: 200, most_ms: 3_200, deadline_ms: 30_000 };

/** One try: for a look that its caller repeats anyway. */
export const ONCE: Pace = { tries: 1, first_ms: 0, most_ms: 0, deadline_ms: 30_000 };

export interface Repeat {
  /** Whether an error may be gone at the next try. */
  readonly passes: (error: unknown) => boolean;
  readonly pace?: Pace | undefined;
  readonly effects?: RepeatEffects | undefined;
}

/** Time and chance, handed in so that no test waits. */
export interface RepeatEffects {
  readonly clock: Clock;
  /** From 0 inclusive to 1 exclusive. */
  random(): number;
}

const REAL: RepeatEffects = { clock: wallClock, random: Math.random };

export interface Try {
  /** From 1. */
  readonly number: number;
  /** What is left until the deadline, at least 1. */
  readonly left_ms: number;
}

/** The result of the first try that works. Errors: that of the last try, or the first one that does not pass. */
export async function repeat<T>(
  work: (attempt: Try) => Promise<T>,
  { passes, pace = DEFAULT_PACE, effects: { clock, random } = REAL }: Repeat,
): Promise<T> {
  const end_ms = clock.nowMs() + pace.deadline_ms;
  for (let number = 1; ; number++) {
    try {
      return await work({ number, left_ms: Math.max(1, end_ms - clock.nowMs()) });
    } catch (error) {
      if (number >= pace.tries || !passes(error)) throw error;
      const even_ms = Math.min(pace.most_ms, pace.first_ms * 2 ** (number - 1));
      // Half to one and a half of it: many callers that lost one server must not all come back at one moment.
      const pause_ms = even_ms * (0.5 + random());
      if (clock.nowMs() + pause_ms >= end_ms) throw error;
      await clock.until(clock.nowMs() + pause_ms);
    }
  }
}

export interface Change<T> extends Repeat {
  /** Asks for the change; never repeated blindly. */
  make(): Promise<T>;
  /** What the change made, if it happened; null when it is certain that it did not. Errors: when nobody can tell. */
  find(): Promise<T | null>;
}

/**
 * Pauses of 2 to 6 s: a request that got no answer may still be on its way, and must have arrived before anyone looks. Three
 * tries are two requests, each followed by a look.
 */
const CHANGE: Pace = { tries: 3, first_ms: 4_000, most_ms: 4_000, deadline_ms: 90_000 };

/**
 * A change that must not happen twice. When its answer was lost it is looked for, and asked for again only if it did not
 * happen. Errors: those of `make` that do not pass, those of `find`, and the last one of `make`.
 */
export async function change<T>({ make, find, passes, pace = CHANGE, effects }: Change<T>): Promise<T> {
  let lost: unknown;
  return repeat(
    async ({ number }) => {
      if (number > 1) {
        const made = await find();
        if (made !== null) return made;
        if (number >= pace.tries) throw lost;
      }
      try {
        return await make();
      } catch (error) {
        lost = error;
        throw error;
      }
    },
    { passes, pace, effects },
  );
}
