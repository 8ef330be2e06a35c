// An open-loop load through the whole line: so many observations a second for so long, whatever comes back.
// Between the CLI, which has the line running, and latency.ts. Measures from outside: it sends raw records and reads
// committed predictions, and trusts no number of the line's own.

import type { Decoder } from "../../contract/index.ts";
import { type Clock, wallClock } from "../../ground/clock.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import type { SourceContract } from "../../source/formats/cells.ts";
import { feed } from "../../source/replay/feed.ts";
import { syntheticInput, syntheticTime } from "../../source/replay/synthetic.ts";
import { type SendTarget, SPAN_OF_LATENESS } from "../../source/send/target.ts";
import { Pairing, type Summary, summarizeLatency } from "./latency.ts";

/** What the bench reads of a prediction; times are epoch ms. */
export interface BenchPrediction {
  readonly timestamp: number;
  readonly window_start: number;
  readonly stages: {
    readonly event_time: number;
    readonly raw_append_time: number;
    readonly feature_processing_time: number;
    readonly feature_append_time: number;
    readonly predict_time: number;
  };
}

export interface BenchLine {
  readonly kafka: Kafka;
  readonly contract: SourceContract & { readonly lateness_ms: number };
  readonly target: SendTarget;
  readonly predictions_topic: string;
  readonly decoder: Decoder<BenchPrediction & Readonly<Record<string, unknown>>>;
}

export interface LiveBenchOptions {
  readonly stations: number;
  /** Observations a second, over all stations. */
  readonly rate: number;
  readonly warmup_ms: number;
  readonly measure_ms: number;
  /** Wall time for the last records to come through after the load has ended. */
  readonly drain_ms: number;
  readonly onProgress?: (said: string) => void;
  /** Looks at the processes; called about once a second while measuring. */
  readonly sample?: () => void;
  readonly signal?: AbortSignal;
}

/** Where the time goes, median over the predictions of the measured stretch. */
export interface Stages {
  readonly to_raw_p50_ms: number;
  readonly to_features_started_p50_ms: number;
  readonly to_features_written_p50_ms: number;
  readonly to_predicted_p50_ms: number;
  readonly to_committed_p50_ms: number;
}

export interface LiveResult extends Summary {
  readonly events_per_s: number;
  /** Records meant to be sent in the measured stretch that no committed prediction held. */
  readonly unpredicted: number;
  readonly predictions: number;
  readonly stages: Stages;
}

const SAMPLE_MS = 1_000;
const LEAD_MS = 5_000;

/** Errors: those of the source; `kafka_unreachable`. */
export async function live(
  line: BenchLine,
  options: LiveBenchOptions,
  clock: Clock = wallClock,
): Promise<LiveResult> {
  const { stations, rate, warmup_ms, measure_ms, drain_ms } = options;
  const { contract } = line;
  const stop = new AbortController();
  options.signal?.addEventListener("abort", () => stop.abort(), { once: true });
  const pairing = new Pairing();
  const stages: number[][] = [[], [], [], [], []];
  let predictions = 0;

  // Far enough ahead that everything is open by then: an observation's event time is when it is meant to be sent.
  const start_ms = Math.ceil(clock.nowMs()) + LEAD_MS;
  const measured_from_ms = start_ms + warmup_ms;
  const count = Math.floor((rate * (warmup_ms + measure_ms)) / 1000);
  const input = syntheticInput({ contract, stations, rate, count, start_ms, prefix: "bench" });
  // Only what falls into the measured stretch is paired; the rest warms the line up.
  for await (const rows of input.rows())
    for (const { key, time } of rows) if (time >= measured_from_ms) pairing.intend(key, time);
  const intended = pairing.waiting;

  const reader = line.kafka.read(line.predictions_topic, {
    from: "end",
    until: "never",
    signal: stop.signal,
    wait_ms: 20,
  });
  const reading = (async () => {
    for await (const records of reader) {
      const now_ms = clock.nowMs();
      for (const { value } of records) {
        const decoded = await line.decoder.decode(value);
        if (!decoded.ok) continue;
        const { record } = decoded;
        const times = record.stages;
        pairing.commit(String(record[contract.key]), record.window_start, times.event_time, now_ms);
        if (times.event_time < measured_from_ms) continue;
        predictions++;
        const marks = [
          times.event_time,
          times.raw_append_time,
          times.feature_processing_time,
          times.feature_append_time,
          times.predict_time,
          now_ms,
        ];
        for (const [i, stage] of stages.entries()) stage.push(marks[i + 1]! - marks[i]!);
      }
    }
  })();

  let sent = 0;
  const sampling = (async () => {
    while (!stop.signal.aborted) {
      await clock.until(clock.nowMs() + SAMPLE_MS, stop.signal);
      if (clock.nowMs() >= measured_from_ms) options.sample?.();
      options.onProgress?.(
        `${sent} of ${count} sent, ${pairing.latencies_ms.length} of ${intended} predicted`,
      );
    }
  })();
  try {
    await feed(input, line.target, {
      speed: 1,
      loop: false,
      span_ms: contract.lateness_ms * SPAN_OF_LATENESS,
      clock,
      anchor: { event_ms: start_ms, wall_ms: start_ms },
      signal: stop.signal,
      onProgress: (progress) => {
        sent = progress.sent;
      },
    });
    const deadline_ms = clock.nowMs() + drain_ms;
    while (pairing.waiting > 0 && clock.nowMs() < deadline_ms && !stop.signal.aborted)
      await clock.until(clock.nowMs() + 50, stop.signal);
  } finally {
    stop.abort();
    await Promise.allSettled([reading, sampling]);
    await reader.close();
  }
  const last_ms = syntheticTime({ start_ms, rate }, count - 1);
  return {
    ...summarizeLatency(pairing.latencies_ms),
    events_per_s: (1000 * intended) / (last_ms - measured_from_ms + 1),
    unpredicted: pairing.missed + pairing.waiting,
    predictions,
    stages: {
      to_raw_p50_ms: summarizeLatency(stages[0]!).p50_ms,
      to_features_started_p50_ms: summarizeLatency(stages[1]!).p50_ms,
      to_features_written_p50_ms: summarizeLatency(stages[2]!).p50_ms,
      to_predicted_p50_ms: summarizeLatency(stages[3]!).p50_ms,
      to_committed_p50_ms: summarizeLatency(stages[4]!).p50_ms,
    },
  };
}
