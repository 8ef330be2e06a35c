// A source that stands in for a feed nobody can reach: made-up answers in the feed's form, by a clock that may run faster than the
// wall's until it has come to now. Each cycle is one transaction with its cursor, so a kill neither loses nor doubles one.
// Every record says `simulated` where the contract has a field for it.

import { PipelineError } from "../../contract/index.ts";
import type { Clock } from "../../ground/clock.ts";
import type { Contract } from "../../pipelines/index.ts";
import type { Reading } from "../feeds/feed.ts";
import { openweathermap } from "../feeds/openweathermap.ts";
import { type Observe, observerOf } from "../poll/observe.ts";
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

/** One cycle of one place as the feed's own reader understands it, and that nobody measured it. */
export function observationOf(observe: Observe, key: string, answer: ReturnType<typeof answerAt>): Outgoing {
  const at = `${answer.coord.lat},${answer.coord.lon}`;
  const { readings } = openweathermap.parse(Buffer.from(JSON.stringify(answer)), {
    places: [{ key, at }],
    since: new Map(),
    wanted: [],
    now_ms: answer.dt * 1000,
    origin: "",
  });
  const [{ values, ...reading }] = readings as [Reading];
  const observation = observe({ ...reading, values: { ...values, simulated: true } }, ({ field, reason }) => {
    throw new TypeError(`A made-up answer cannot be read: ${field}: ${reason}`);
  });
  return { key, record: observation!.record, clock_ms: observation!.time };
}

export class Simulation {
  readonly #options: SimulateOptions;
  readonly #observe: Observe;
  readonly #places: readonly (readonly [key: string, latitude: number, longitude: number])[];
  #cycles = 0;
  #rows = 0;
  #next_ms: number;

  /** Errors: `config_invalid` for a pipeline none of whose stations has a place on the map. */
  constructor(options: SimulateOptions) {
    this.#options = options;
    const { contract, every_ms, from_ms } = options;
    this.#observe = observerOf(contract);
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
    const { seed } = this.#options;
    return this.#places.map(([key, latitude, longitude]) =>
      observationOf(this.#observe, key, answerAt({ seed, latitude, longitude, t_ms })),
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
