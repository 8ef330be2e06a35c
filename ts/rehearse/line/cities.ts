// Made-up values of all cities, sent as the stand-in for their feed would send them: for the city system's bench, proof and test.

import { randomBytes } from "node:crypto";
import { pause } from "../../ground/pause.ts";
import { observerOf } from "../../source/poll/observe.ts";
import { rawRecords, targetOf } from "../../source/send/target.ts";
import { answerAt } from "../../source/simulate/openweathermap.ts";
import { observationOf } from "../../source/simulate/simulate.ts";
import type { Namespace } from "./namespace.ts";

/** Moments of event time; each is a record of every city. */
export interface Moments {
  readonly from_ms: number;
  readonly step_ms: number;
  /** Infinity to send until the signal fires. */
  readonly count: number;
}

export interface Sending {
  readonly signal: AbortSignal;
  /** Moments of one transaction. */
  readonly at_once: number;
  /** Pause behind each transaction, wall time. */
  readonly every_ms?: number;
}

/** Sends them in order, until all are sent or the signal fires; returns how many records. */
export async function sendCities(
  { kafka, registry, names, contract }: Pick<Namespace, "kafka" | "registry" | "names" | "contract">,
  { from_ms, step_ms, count }: Moments,
  { signal, at_once, every_ms = 0 }: Sending,
): Promise<number> {
  const target = await targetOf({ kafka, registry, names, contract, source: "cities" });
  const observe = observerOf(contract);
  const cities = Object.entries(contract.stations);
  const id = `${names.prefix}cities-${randomBytes(4).toString("hex")}`;
  const producer = await kafka.producer({ transactional_id: id });
  let sent = 0;
  try {
    for (let first = 0; first < count && !signal.aborted; first += at_once) {
      const records = Array.from({ length: Math.min(at_once, count - first) }, (_, i) => {
        const t_ms = from_ms + (first + i) * step_ms;
        return cities.map(([key, { latitude, longitude }]) =>
          observationOf(
            observe,
            key,
            answerAt({ seed: 1, latitude: latitude!, longitude: longitude!, t_ms }),
          ),
        );
      }).flat();
      const transaction = await producer.begin();
      await transaction.send(rawRecords(target, records));
      await transaction.commit();
      sent += records.length;
      if (every_ms > 0) await pause(every_ms, signal);
    }
  } finally {
    await producer.close();
  }
  return sent;
}
