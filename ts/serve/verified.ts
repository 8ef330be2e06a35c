// What verifications say of the forecasts: errors, coverage and skill by target and horizon over the last day and the last
// week of event time, and the newest records themselves. Sits between the feed and the routes, and judges nothing anew.

import { hoursOf } from "./forecast.ts";
import type { ServedContract, VerificationRecord } from "./records.ts";
import type { Score } from "./routes/verifications.ts";

const HOUR_MS = 3_600_000;

/** Spans of event time that are summed up, newest hour inclusive. */
export const SUMMARY_SPANS = { "24h": 24, "7d": 168 } as const;
export type WindowName = keyof typeof SUMMARY_SPANS;
export const WINDOW_NAMES = Object.keys(SUMMARY_SPANS) as WindowName[];

/** Newest records that are kept as they are: a week of two dozen stations. Sums go on without them. */
export const RECORDS_MAX = 40_000;

/** Against one baseline, over the pairs where it said something. */
interface Versus {
  pairs: number;
  model: number;
  baseline: number;
}

interface Sums {
  pairs: number;
  unverifiable: number;
  in_sample: number;
  abs: number;
  bias: number;
  pinball: number;
  width: number;
  winkler: number;
  readonly covered: number[];
  readonly persistence: Versus;
  readonly dap: Versus;
}

/**
 * A record that is kept. As text it takes a third of what it takes as objects, and of forty thousand few are ever asked for; what they are
 * asked by stands beside it.
 */
interface Held extends Pick<VerificationRecord, "target" | "horizon_h" | "valid"> {
  readonly station: string;
  readonly text: string;
}

const recordOf = ({ text }: Held): VerificationRecord => JSON.parse(text) as VerificationRecord;

export interface Filter {
  readonly station: string | null;
  readonly target: string | null;
  readonly horizon_h: number | null;
}

const versus = (): Versus => ({ pairs: 0, model: 0, baseline: 0 });
const empty = (bands: number): Sums => ({
  pairs: 0,
  unverifiable: 0,
  in_sample: 0,
  abs: 0,
  bias: 0,
  pinball: 0,
  width: 0,
  winkler: 0,
  covered: Array.from({ length: bands }, () => 0),
  persistence: versus(),
  dap: versus(),
});

export class Verified {
  readonly #contract: ServedContract;
  readonly #bands: readonly string[];
  /** `target|horizon` → hour of the valid time → sums. */
  readonly #hours = new Map<string, Map<number, Sums>>();
  #held: Held[] = [];
  #frontier_ms: number | null = null;
  /** Two of one process never meet another's. */
  readonly #from = Math.floor(performance.timeOrigin + performance.now()).toString(36);
  #taken = 0;

  constructor(contract: ServedContract) {
    this.#contract = contract;
    this.#bands = contract.bands.map((band) => String(Math.round(band * 100)));
    for (const target of contract.targets)
      for (const h of hoursOf(contract)) this.#hours.set(`${target}|${h}`, new Map());
  }

  /** Newest valid time of any verification, event time; null before the first. */
  get frontier_ms(): number | null {
    return this.#frontier_ms;
  }

  /** Another text whenever a record has come. */
  get state(): string {
    return `${this.#from}.${this.#taken}`;
  }

  /** Takes one record. What is older than the longest window is left out. */
  take(station: string, record: VerificationRecord): "newest" | "older" {
    const before = this.#frontier_ms;
    if (before !== null && hourOf(record.valid) <= hourOf(before) - SUMMARY_SPANS["7d"]) return "older";
    this.#frontier_ms = Math.max(before ?? record.valid, record.valid);
    const { target, horizon_h, valid } = record;
    this.#held.push({ station, target, horizon_h, valid, text: JSON.stringify(record) });
    this.#taken++;
    // In one cut a twentieth of the time, not by shifting each time.
    if (this.#held.length > RECORDS_MAX * 1.05) this.#held = this.#held.slice(-RECORDS_MAX);
    const hours = this.#hours.get(`${record.target}|${record.horizon_h}`);
    if (!hours) return "newest";
    const hour = hourOf(record.valid);
    let sums = hours.get(hour);
    if (!sums) {
      sums = empty(this.#bands.length);
      hours.set(hour, sums);
      for (const old of hours.keys())
        if (old <= hourOf(this.#frontier_ms) - SUMMARY_SPANS["7d"]) hours.delete(old);
    }
    this.#add(sums, record);
    return "newest";
  }

  /** The newest records that fit, newest first. */
  list(filter: Filter, limit: number): { readonly station: string; readonly record: VerificationRecord }[] {
    const out = [];
    for (let i = this.#held.length - 1; i >= 0 && out.length < limit; i--) {
      const one = this.#held[i]!;
      if (fits(filter, one)) out.push({ station: one.station, record: recordOf(one) });
    }
    return out;
  }

  /** Every target, horizon and window that fits. Of one station it rests on the records that are still held. */
  scores(filter: Filter): Score[] {
    const { targets, fields } = this.#contract;
    const unit = new Map(fields.map((f) => [f.name, f.unit ?? "1"]));
    const hours = hoursOf(this.#contract);
    const frontier = this.#frontier_ms === null ? null : hourOf(this.#frontier_ms);
    // Each is read once, whichever of the windows it falls into.
    const own = filter.station === null ? [] : this.#held.filter((one) => fits(filter, one)).map(recordOf);
    return targets.flatMap((target) =>
      hours.flatMap((horizon_h) => {
        if (filter.target !== null && filter.target !== target) return [];
        if (filter.horizon_h !== null && filter.horizon_h !== horizon_h) return [];
        return WINDOW_NAMES.map((window) => {
          const sums = empty(this.#bands.length);
          const from = frontier === null ? 0 : frontier - SUMMARY_SPANS[window];
          if (filter.station === null) {
            for (const [hour, some] of this.#hours.get(`${target}|${horizon_h}`) ?? [])
              if (hour > from) join(sums, some);
          } else
            for (const record of own)
              if (record.target === target && record.horizon_h === horizon_h && hourOf(record.valid) > from)
                this.#add(sums, record);
          return scoreOf(this.#bands, sums, { target, horizon_h, window, unit: unit.get(target) ?? "1" });
        });
      }),
    );
  }

  #add(sums: Sums, record: VerificationRecord): void {
    if (record.in_sample) {
      sums.in_sample++;
      return;
    }
    const { model } = record;
    if (record.status !== "verified" || model.error === null) {
      sums.unverifiable++;
      return;
    }
    const abs = Math.abs(model.error);
    sums.pairs++;
    sums.abs += abs;
    sums.bias += model.error;
    sums.pinball += model.pinball ?? 0;
    sums.width += model.width;
    sums.winkler += model.winkler ?? 0;
    this.#bands.forEach((band, i) => {
      if (model[`covered_${band}`] === true) sums.covered[i]!++;
    });
    for (const [sum, baseline] of [
      [sums.persistence, record.persistence],
      [sums.dap, record.dap],
    ] as const)
      if (baseline.error !== null) {
        sum.pairs++;
        sum.model += abs;
        sum.baseline += Math.abs(baseline.error);
      }
  }
}

/** The means of some sums, wherever they were made. `covered` is of `bands`, in their order. */
export function scoreOf(
  bands: readonly string[],
  sums: Readonly<Sums>,
  of: Pick<Score, "target" | "horizon_h" | "window" | "unit">,
): Score {
  const mean = (sum: number, count = sums.pairs) => (count === 0 ? null : sum / count);
  const skill = ({ model, baseline }: Versus) => (baseline === 0 ? null : 1 - model / baseline);
  return {
    ...of,
    pairs: sums.pairs,
    unverifiable: sums.unverifiable,
    in_sample: sums.in_sample,
    mae: mean(sums.abs),
    bias: mean(sums.bias),
    persistence_mae: mean(sums.persistence.baseline, sums.persistence.pairs),
    dap_mae: mean(sums.dap.baseline, sums.dap.pairs),
    skill_persistence: skill(sums.persistence),
    skill_dap: skill(sums.dap),
    coverage: Object.fromEntries(bands.map((band, i) => [band, mean(sums.covered[i]!)])),
    width: mean(sums.width),
    pinball: mean(sums.pinball),
    winkler: mean(sums.winkler),
  };
}

const hourOf = (ms: number): number => Math.floor(ms / HOUR_MS);

function fits(filter: Filter, held: Held): boolean {
  return (
    (filter.station === null || filter.station === held.station) &&
    (filter.target === null || filter.target === held.target) &&
    (filter.horizon_h === null || filter.horizon_h === held.horizon_h)
  );
}

function join(into: Sums, some: Sums): void {
  for (const name of [
    "pairs",
    "unverifiable",
    "in_sample",
    "abs",
    "bias",
    "pinball",
    "width",
    "winkler",
  ] as const)
    into[name] += some[name];
  some.covered.forEach((count, i) => {
    into.covered[i]! += count;
  });
  for (const name of ["persistence", "dap"] as const) {
    into[name].pairs += some[name].pairs;
    into[name].model += some[name].model;
    into[name].baseline += some[name].baseline;
  }
}
