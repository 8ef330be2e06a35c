// How fast a pipeline flows, as this process reads it: records a second by topic, the latency of each stage of the newest
// predictions, rejects by reason. Bounded, in wall time; judges nothing.

/** Rates and latencies are of the last minutes: longer would show what has passed, shorter jumps. */
const RATE_S = 60;
export const LATENCY_MS = 300_000;
/** Predictions whose stages are remembered: enough for a p99, and sorted in a few milliseconds. */
const PREDICTIONS_MAX = 2_000;
/** Reasons are an enum of the contract. */
const REASONS_MAX = 100;

/** The wall times a prediction has passed, in their order; the last is its commit. */
export const STAGES = [
  "raw_append_time",
  "feature_processing_time",
  "feature_append_time",
  "predict_time",
  "commit_time",
] as const;

export interface StageLatency {
  readonly from: string;
  readonly to: string;
  /** From the first stage to `from`, at the median: where its bar begins. */
  readonly begins_ms: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

export interface Latency {
  /** Predictions it rests on. */
  readonly predictions: number;
  /** From the first stage to the last. */
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly stages: readonly StageLatency[];
}

export interface Rejected {
  readonly reason: string;
  readonly records: number;
  /** Append of the newest, epoch ms. */
  readonly last_ms: number;
}

/** The value below which a share of them lies; the nearest one there is. Sorted ascending, at least one. */
const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;

/** Counts by second of the last minute. */
class Seconds {
  readonly #counts = new Float64Array(RATE_S);
  #second = 0;
  #began: number | null = null;

  add(now_ms: number): void {
    this.#move(now_ms);
    this.#began ??= this.#second;
    this.#counts[this.#second % RATE_S]! += 1;
  }

  /** A second; over the time since the first where that is less than a minute. The second at hand is not over and does not count. */
  rate(now_ms: number): number {
    this.#move(now_ms);
    if (this.#began === null) return 0;
    const over_s = Math.min(RATE_S - 1, this.#second - this.#began);
    if (over_s <= 0) return 0;
    const all = this.#counts.reduce((sum, count) => sum + count, 0);
    return (all - this.#counts[this.#second % RATE_S]!) / over_s;
  }

  #move(now_ms: number): void {
    const second = Math.floor(now_ms / 1000);
    // A clock that is put back begins anew.
    if (second < this.#second || second - this.#second >= RATE_S) this.#counts.fill(0);
    else for (let s = this.#second + 1; s <= second; s++) this.#counts[s % RATE_S] = 0;
    this.#second = second;
  }
}

export class Flow {
  readonly #clock: { nowMs(): number };
  readonly #topics = new Map<string, Seconds>();
  readonly #rejects = new Map<string, { records: number; last_ms: number }>();
  readonly #passed: { readonly at_ms: number; readonly times: readonly number[] }[] = [];
  #next = 0;

  constructor(clock: { nowMs(): number }) {
    this.#clock = clock;
  }

  read(topic: string): void {
    let seconds = this.#topics.get(topic);
    if (!seconds) {
      seconds = new Seconds();
      this.#topics.set(topic, seconds);
    }
    seconds.add(this.#clock.nowMs());
  }

  /** A prediction that was committed while this process followed; one that lacks a stage is left out. */
  predicted(stages: Readonly<Record<string, number>>, commit_ms: number): void {
    const times = STAGES.map((stage) => (stage === "commit_time" ? commit_ms : stages[stage]));
    if (times.some((time) => time === undefined)) return;
    this.#passed[this.#next] = { at_ms: commit_ms, times: times as number[] };
    this.#next = (this.#next + 1) % PREDICTIONS_MAX;
  }

  rejected(reason: string, at_ms: number): void {
    const held = this.#rejects.get(reason);
    if (held) {
      held.records++;
      held.last_ms = Math.max(held.last_ms, at_ms);
    } else if (this.#rejects.size < REASONS_MAX) this.#rejects.set(reason, { records: 1, last_ms: at_ms });
  }

  /** Records of a topic that were read a second. */
  rate(topic: string): number {
    return this.#topics.get(topic)?.rate(this.#clock.nowMs()) ?? 0;
  }

  /** Of the last five minutes; null without a prediction in them. */
  latency(): Latency | null {
    const since_ms = this.#clock.nowMs() - LATENCY_MS;
    const rows = this.#passed.filter(({ at_ms }) => at_ms >= since_ms).map(({ times }) => times);
    if (rows.length === 0) return null;
    // Clocks of several machines: a stage that seems to end before it began took no time.
    const between = (from: number, to: number) =>
      rows.map((times) => Math.max(0, times[to]! - times[from]!)).sort((a, b) => a - b);
    const all = between(0, STAGES.length - 1);
    return {
      predictions: rows.length,
      p50_ms: quantile(all, 0.5),
      p99_ms: quantile(all, 0.99),
      stages: STAGES.slice(1).map((to, i) => {
        const took = between(i, i + 1);
        return {
          from: STAGES[i]!,
          to,
          begins_ms: quantile(between(0, i), 0.5),
          p50_ms: quantile(took, 0.5),
          p99_ms: quantile(took, 0.99),
        };
      }),
    };
  }

  /** By reason, of the records this process has read. */
  rejects(): Rejected[] {
    return [...this.#rejects].map(([reason, { records, last_ms }]) => ({ reason, records, last_ms }));
  }
}
