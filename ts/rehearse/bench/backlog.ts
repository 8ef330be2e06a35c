// A backlog of event time, worked off from a standing start: how fast the features follow, and when the last prediction
// is committed. The backlog is written first, with the jobs stopped; then they start and the clock runs.

import { type Clock, wallClock } from "../../ground/clock.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import { feed } from "../../source/replay/feed.ts";
import { syntheticInput, syntheticTime } from "../../source/replay/synthetic.ts";
import { SPAN_OF_LATENESS } from "../../source/send/target.ts";
import type { BenchLine } from "./live.ts";

export interface BacklogOptions {
  readonly stations: number;
  /** Observations a second of event time. */
  readonly rate: number;
  readonly count: number;
  /** Event time of the first, epoch ms. */
  readonly start_ms: number;
  readonly onProgress?: (said: string) => void;
}

export interface Backlog {
  readonly count: number;
  readonly stations: number;
  /** Event time of the last observation of the last station to report. */
  readonly last_ms: number;
  readonly sent_per_s: number;
}

/** Writes the backlog at full speed. */
export async function writeBacklog(
  line: BenchLine,
  options: BacklogOptions,
  clock: Clock = wallClock,
): Promise<Backlog> {
  const begin_ms = clock.nowMs();
  const input = syntheticInput({ contract: line.contract, prefix: "bench", ...options });
  let said_ms = begin_ms;
  await feed(input, line.target, {
    speed: "max",
    loop: false,
    span_ms: line.contract.lateness_ms * SPAN_OF_LATENESS,
    clock,
    onProgress: ({ sent }) => {
      if (clock.nowMs() - said_ms < 1_000) return;
      said_ms = clock.nowMs();
      options.onProgress?.(`${sent} of ${options.count} written`);
    },
  });
  return {
    count: options.count,
    stations: options.stations,
    last_ms: syntheticTime(options, options.count - 1),
    sent_per_s: (1000 * options.count) / (clock.nowMs() - begin_ms),
  };
}

/**
 * Resolves to the wall time at which every station's newest row of the topic holds its newest observation: the read
 * records say so themselves (`newestEvent`), no job is asked. Errors: `Error` past the deadline, with what was last seen.
 */
export async function untilCaughtUp(
  kafka: Kafka,
  topic: string,
  newestEvent: (
    value: Buffer | null,
  ) => Promise<{ readonly key: string; readonly event_time: number } | null>,
  backlog: Backlog,
  /** Event time between two observations of one station. */
  every_ms: number,
  deadline_ms: number,
  clock: Clock = wallClock,
): Promise<number> {
  const done = new Set<string>();
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), deadline_ms);
  const reader = kafka.read(topic, { from: "end", until: "never", signal: stop.signal, wait_ms: 50 });
  try {
    for await (const records of reader)
      for (const { value } of records) {
        const newest = await newestEvent(value);
        if (newest !== null && newest.event_time > backlog.last_ms - every_ms) done.add(newest.key);
        if (done.size === backlog.stations) return clock.nowMs();
      }
  } finally {
    clearTimeout(timer);
    await reader.close();
  }
  throw new Error(
    `Cannot see the backlog worked off in "${topic}" within ${deadline_ms / 1000} s: ${done.size} of ${backlog.stations} stations had their last observation`,
  );
}
