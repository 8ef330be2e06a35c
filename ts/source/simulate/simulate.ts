// A source that stands in for a feed nobody can reach: made-up answers in the feed's form, by a clock that may run faster than the
// wall's until it has come to now. Each cycle is one transaction with its cursor, so a kill neither loses nor doubles one.
// Every record says `simulated` where the contract has a field for it.

import { converter, isMeasured, PipelineError } from "../../contract/index.ts";
import type { Clock } from "../../ground/clock.ts";
import type { Contract } from "../../pipelines/index.ts";
import type { Value } from "../row.ts";
import { Session } from "../send/session.ts";
import { type Outgoing, rawRecords, type SendTarget } from "../send/target.ts";
import { answerAt } from "./openweathermap.ts";

export const KIND = "simulate";

export interface SimulateOptions {
  readonly contract: Contract;
  readonly seed: number;
  readonly every_ms: number;
  /** Event time of the first cycle, epoch ms; a source that has sent goes on behind what it sent. */
  readonly from_ms: number;
  /** Event time that passes in one second while it lies behind the wall clock, seconds; then it is the wall's. */
  readonly speed: number;
  readonly clock: Clock;
  readonly log: (line: string) => void;
}

type Answer = ReturnType<typeof answerAt>;

/** A value of an answer by what it is, and the unit it comes in. */
const QUANTITIES: Readonly<Record<string, readonly [unit: string, read: (answer: Answer) => unknown]>> = {
  air_temperature: ["K", ({ main }) => main.temp],
  relative_humidity: ["%", ({ main }) => main.humidity],
  air_pressure: ["hPa", ({ main }) => main.pressure],
  wind_speed: ["m/s", ({ wind }) => wind.speed],
  wind_from_direction: ["deg", ({ wind }) => wind.deg],
  cloud_area_fraction: ["%", ({ clouds }) => clouds.all],
  precipitation_amount_last_hour: [
    "mm",
    (answer) => {
      const { rain, snow } = answer as { rain?: { "1h": number }; snow?: { "1h": number } };
      return rain?.["1h"] ?? snow?.["1h"];
    },
  ],
};
const ATTRIBUTES: Readonly<Record<string, (answer: Answer) => Value>> = {
  description: ({ weather }) => weather[0]!.description,
  simulated: () => true,
};

/** An answer as an observation of the contract, in its units; what an answer has not is null. */
export function observationOf(contract: Contract, key: string, answer: Answer): Outgoing {
  const time = answer.dt * 1000;
  const record: Record<string, Value> = { [contract.key]: key, [contract.event_time]: time };
  for (const field of contract.fields) {
    if (isMeasured(field)) {
      const [unit, read] = QUANTITIES[field.quantity!] ?? [field.unit!, () => null];
      const value = read(answer);
      record[field.name] = typeof value === "number" ? converter(unit, field.unit!)(value) : null;
    } else if (field.attribute) record[field.name] = ATTRIBUTES[field.name]?.(answer) ?? null;
  }
  return { key, record, clock_ms: time };
}

export class Simulation {
  readonly #options: SimulateOptions;
  readonly #places: readonly (readonly [key: string, latitude: number, longitude: number])[];
  #cycles = 0;
  #rows = 0;
  #next_ms: number;

  /** Errors: `config_invalid` for a pipeline none of whose stations has a place on the map. */
  constructor(options: SimulateOptions) {
    this.#options = options;
    const { contract, every_ms, from_ms } = options;
    this.#next_ms = Math.ceil(from_ms / every_ms) * every_ms;
    this.#places = Object.entries(contract.stations).flatMap(([key, { latitude, longitude }]) =>
      latitude === null || longitude === null ? [] : [[key, latitude, longitude] as const],
    );
    if (this.#places.length === 0)
      throw new PipelineError(
        "config_invalid",
        `Cannot simulate pipeline "${contract.pipeline}": expected stations with a place on the map, it has none`,
      );
  }

  state() {
    return {
      message: "simulated values: nobody measured them",
      counters: { cycles: this.#cycles, rows: this.#rows, next_ms: this.#next_ms },
    };
  }

  cycleAt(t_ms: number): Outgoing[] {
    const { contract, seed } = this.#options;
    return this.#places.map(([key, latitude, longitude]) =>
      observationOf(contract, key, answerAt({ seed, latitude, longitude, t_ms })),
    );
  }

  /** Sends until the signal fires. Errors: those of Session. */
  async run(target: SendTarget, signal: AbortSignal): Promise<void> {
    const { clock, every_ms, speed, log } = this.#options;
    const session = new Session(target, { kind: KIND, clock, signal });
    try {
      const cursor = await session.open();
      if (cursor !== null) this.#next_ms = Math.max(this.#next_ms, Number(cursor.token));
      log(`simulated values, seed ${this.#options.seed}, from ${new Date(this.#next_ms).toISOString()} on`);
      const [begin_ms, first_ms] = [clock.nowMs(), this.#next_ms];
      /** Wall time at which a cycle is due: never before its own time. */
      const due = (t_ms: number) => Math.min(t_ms, begin_ms + (t_ms - first_ms) / speed);
      for (; !signal.aborted; this.#next_ms += every_ms) {
        const t_ms = this.#next_ms;
        // A faster clock does not run ahead of the wall's.
        const at_ms = t_ms > clock.nowMs() ? t_ms : due(t_ms);
        if (at_ms > clock.nowMs()) await clock.until(at_ms, signal);
        if (signal.aborted) return;
        const cycle = this.cycleAt(t_ms);
        const token = String(t_ms + every_ms);
        await session.commit(rawRecords(target, cycle), { token, event_time: t_ms });
        this.#cycles++;
        this.#rows += cycle.length;
      }
    } finally {
      await session.close();
    }
  }
}
